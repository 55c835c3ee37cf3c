from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from bundle.errors import InputError
from bundle.evaluation.summary import agree, compare, summarise
from bundle.metrics import bland_altman, bootstrap_interval

PLAIN = {"perturbation": "none", "level": None, "unit": ""}
CASES = [f"case {number}" for number in range(8)]


def quality_row(case: str, method: str, psnr_db: float, views: int = 6, **changes) -> dict:
    figures = {"psnr_db": psnr_db, "ssim_3d": psnr_db / 40, "ssim_slices": psnr_db / 50, "vif": psnr_db / 100}
    return {"case": case, "method": method, "views": views, **PLAIN, **figures, "preset": "luna16", **changes}


def structure_row(case: str, method: str, dice: float | None, structure: str = "left lung", **changes) -> dict:
    found = "neither" if dice is None else "both" if dice else "reference only"
    distances = {"assd_mm": None, "hd95_mm": None}
    if found == "both":
        distances = {"assd_mm": 10 * (1 - dice), "hd95_mm": 40 * (1 - dice)}
    row = {"case": case, "method": method, "views": 6, **PLAIN, "reference": "segmented", "structure": structure}
    volumes = {"volume_ml": 2000.0 * (dice or 0.0), "reference_volume_ml": 2000.0 if found != "neither" else 0.0}
    return {**row, "found": found, "dice": dice, **distances, **volumes, **changes}


def pick(rows: list[dict], **wanted) -> dict:
    (row,) = [row for row in rows if wanted.items() <= row.items()]
    return row


def test_means_of_a_group():
    values = [30.0, 31.5, 29.0, 36.0, 33.0]
    rows = summarise([quality_row(case, "fdk", value) for case, value in zip(CASES, values)], [])
    assert [row["metric"] for row in rows] == ["psnr_db", "ssim_3d", "ssim_slices", "vif"]
    low, high = bootstrap_interval(values)
    assert rows[0] == {
        **PLAIN,
        "views": 6,
        "method": "fdk",
        "reference": "",
        "structure": "",
        "metric": "psnr_db",
        "mean": pytest.approx(31.9),
        "low": low,
        "high": high,
        "median": 31.5,
        "worst": 29.0,
        "n": 5,
        "undefined": 0,
    }
    assert list(rows[0])[:8] == ["perturbation", "level", "unit", "views", "method", "reference", "structure", "metric"]


def test_worst_is_the_largest_distance_and_the_least_dice():
    rows = summarise([], [structure_row(case, "fdk", dice) for case, dice in zip(CASES, (0.9, 0.6, 0.8))])
    assert pick(rows, metric="dice")["worst"] == 0.6
    assert pick(rows, metric="assd_mm")["worst"] == pytest.approx(4.0)
    assert pick(rows, metric="hd95_mm")["worst"] == pytest.approx(16.0)
    assert {(row["reference"], row["structure"]) for row in rows} == {("segmented", "left lung")}


def test_undefined_values_are_counted():
    dices = [0.9, 0.8, 0.0, None]
    rows = summarise([], [structure_row(case, "fdk", dice) for case, dice in zip(CASES, dices)])
    dice, assd = pick(rows, metric="dice"), pick(rows, metric="assd_mm")
    assert (dice["mean"], dice["n"], dice["undefined"]) == (pytest.approx(1.7 / 3), 3, 1)
    assert (assd["mean"], assd["n"], assd["undefined"]) == (pytest.approx(1.5), 2, 2)
    psnr = [quality_row("a", "fdk", np.inf, vif=None), quality_row("b", "fdk", 30.0, vif=None)]
    rows = summarise(psnr, [])
    first = pick(rows, metric="psnr_db")
    assert (first["mean"], first["n"], first["undefined"], first["low"]) == (30.0, 1, 1, None)
    vif = pick(rows, metric="vif")
    assert (vif["n"], vif["undefined"]) == (0, 2)
    assert [vif[name] for name in ("mean", "low", "high", "median", "worst")] == [None] * 5


def test_groups_are_kept_apart_in_their_order():
    quality = [
        quality_row("a", "fdk", 10.0),
        quality_row("a", "fdk", 20.0, views=8),
        quality_row("a", "sart", 30.0),
        quality_row("a", "fdk", 40.0, perturbation="noise", level=1e4, unit="photons"),
        quality_row("a", "fdk", 50.0, perturbation="noise", level=1e5, unit="photons"),
    ]
    structures = [
        structure_row("a", "fdk", 0.9),
        structure_row("a", "fdk", 0.8, reference="labels"),
        structure_row("a", "fdk", 0.7, structure="right lung"),
    ]
    rows = summarise(quality, structures)
    assert [row["mean"] for row in rows if row["metric"] == "psnr_db"] == [10.0, 20.0, 30.0, 40.0, 50.0]
    assert [row["mean"] for row in rows if row["metric"] == "dice"] == [0.9, 0.8, 0.7]
    assert pick(rows, metric="psnr_db", level=1e5)["unit"] == "photons"


def test_differences_are_paired_by_case():
    """The other method's rows come in another order, and cases differ more than methods."""
    base = np.array([20.0, 35.0, 28.0, 31.0, 24.0, 39.0, 22.0])
    gains = np.array([1.0, 0.5, 1.5, 0.75, 1.25, 0.25, 2.0])
    own = [quality_row(case, "net", value) for case, value in zip(CASES, base + gains)]
    other = [quality_row(case, "sart", value) for case, value in zip(CASES, base)][::-1]
    rows = compare(own + other, [], "net", ["sart"])
    row = pick(rows, metric="psnr_db")
    assert list(row) == [
        *("perturbation", "level", "unit", "views", "reference", "structure", "metric", "method", "other"),
        *("difference", "low", "high", "p_value", "n", "undefined", "test"),
    ]
    assert row["difference"] == pytest.approx(gains.mean())
    assert (row["low"], row["high"]) == bootstrap_interval(gains)
    assert row["p_value"] == pytest.approx(stats.wilcoxon(gains).pvalue) == pytest.approx(2 / 2**7)
    assert (row["n"], row["undefined"], row["test"]) == (7, 0, "Wilcoxon signed-rank, exact")
    reverse = pick(compare(own + other, [], "sart", ["net"]), metric="psnr_db")
    assert reverse["difference"] == pytest.approx(-gains.mean())


def test_cases_that_cannot_be_paired_are_counted():
    own = [structure_row(case, "net", dice) for case, dice in zip(CASES, (0.9, 0.8, None, 0.7))]
    other = [structure_row(case, "fdk", dice) for case, dice in zip(CASES, (0.5, 0.0, 0.4))]
    rows = compare([], own + other, "net", ["fdk"])
    dice = pick(rows, metric="dice")
    assert (dice["difference"], dice["n"], dice["undefined"]) == (pytest.approx(0.6), 2, 2)
    assd = pick(rows, metric="assd_mm")
    assert (assd["difference"], assd["n"], assd["undefined"]) == (pytest.approx(-4.0), 1, 3)
    assert (assd["low"], assd["p_value"], assd["test"]) == (None, None, "none: only 1 pair, 6 are needed")


def test_only_like_is_compared_with_like():
    rows = [
        quality_row("a", "net", 30.0),
        quality_row("a", "net", 40.0, views=8),
        quality_row("a", "fdk", 25.0, views=8),
        quality_row("a", "sart", 26.0),
    ]
    found = [row for row in compare(rows, [], "net", ["fdk", "sart"]) if row["metric"] == "psnr_db"]
    assert [(row["views"], row["other"], row["difference"], row["n"]) for row in found] == [
        (6, "fdk", None, 0),
        (6, "sart", 4.0, 1),
        (8, "fdk", 15.0, 1),
        (8, "sart", None, 0),
    ]
    assert [row["undefined"] for row in found] == [1, 0, 0, 1]


def test_unknown_methods_and_repeated_cases_are_refused():
    rows = [quality_row("a", "net", 30.0), quality_row("a", "fdk", 30.0)]
    with pytest.raises(InputError, match=r"method 'sart': has no results\. Use one of 'net', 'fdk'"):
        compare(rows, [], "net", ["sart"])
    for work in (lambda: summarise(rows + rows[:1], []), lambda: compare(rows + rows[1:], [], "net", ["fdk"])):
        with pytest.raises(InputError, match="case a: occurs twice with 6 views"):
            work()


def test_volumes_agree():
    measured, reference = [2100.0, 1850.0, 2400.0, 1990.0], [2000.0, 1900.0, 2300.0, 2050.0]
    rows = agree(
        [
            structure_row(case, "fdk", 0.9, volume_ml=m, reference_volume_ml=r)
            for case, m, r in zip(CASES, measured, reference)
        ]
    )
    expected = bland_altman(measured, reference)
    (row,) = rows
    assert row["bias_ml"] == pytest.approx(22.5)
    assert (row["lower_ml"], row["upper_ml"]) == expected.limits
    assert (row["bias_low_ml"], row["bias_high_ml"]) == expected.bias_interval
    assert (row["lower_low_ml"], row["lower_high_ml"]) == expected.lower_interval
    assert (row["upper_low_ml"], row["upper_high_ml"]) == expected.upper_interval
    assert (row["n"], row["found_in_one"], row["undefined"]) == (4, 0, 0)
    assert (row["method"], row["reference"], row["structure"]) == ("fdk", "segmented", "left lung")


def test_a_structure_that_is_not_found_is_not_averaged_away():
    (row,) = agree([structure_row(case, "fdk", dice) for case, dice in zip(CASES, (1.0, 0.0, None))])
    assert row["bias_ml"] == pytest.approx(-1000.0)  # of 0 and -2000
    assert (row["n"], row["found_in_one"], row["undefined"]) == (2, 1, 1)


def test_too_few_volumes():
    one, none = agree([structure_row("a", "fdk", 0.9), structure_row("a", "sart", None)])
    assert (one["n"], one["bias_ml"], one["lower_ml"], one["bias_low_ml"]) == (1, pytest.approx(-200), None, None)
    assert (none["n"], none["bias_ml"], none["undefined"]) == (0, None, 1)
    assert set(one) == set(none)


def test_nothing_gives_nothing():
    assert summarise([], []) == agree([]) == []
