"""Summarises the metrics of an evaluation by group of cases: what a method gains over another, and where it loses.

    python scripts/summarise_metrics.py runs/evaluate/metrics.csv --reference sart

Prints Markdown tables: PSNR, SSIM and VIF of every method, averaged over the cases of each group of docs/real_cts.json
(cases that it does not list are one group), and for every number of views the gain in PSNR over the reference, on
average and in the worst case. A line above them says what scans the figures are of.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from pathlib import Path
from statistics import mean

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bundle.data.ct_formats import case_name  # noqa: E402
from bundle.errors import InputError, install_command_line_hook  # noqa: E402
from bundle.simulation import OWN_VOXELS, SCANNED_FROM  # noqa: E402
from bundle.tables import read_rows  # noqa: E402

LISTING = ROOT / "docs" / "real_cts.json"
_METRICS = {"psnr_db": "{:.2f}", "ssim_3d": "{:.3f}", "vif": "{:.3f}"}
Row = dict[str, str]


def main() -> None:
    """Prints the tables."""
    install_command_line_hook()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("metrics", type=Path, help="metrics.csv of an evaluation")
    parser.add_argument("--reference", default="sart", help="method that the others are compared with (sart)")
    options = parser.parse_args()
    listing = json.loads(LISTING.read_text(encoding="utf-8"))
    groups = {case_name(case["image"]): case["group"] for case in listing["cases"]}
    rows = read_rows(options.metrics)
    print("\n\n".join([scans(rows, options.metrics), *tables(rows, groups, options.reference, options.metrics)]))


def scans(rows: list[Row], source: object) -> str:
    """What scans the rows are of, in a sentence.

    Args:
        rows: of metrics.csv.
        source: what to name in the message.

    Raises:
        InputError: when the rows are of scans with different physics, or partly of scans of their own voxels.
    """
    physics = sorted({row.get("acquisition", "exact") for row in rows})
    own = {row.get(SCANNED_FROM, OWN_VOXELS) == OWN_VOXELS for row in rows}
    if len(physics) > 1 or len(own) > 1:
        raise InputError(source, f"mixes scans: {'; '.join(physics)}.", "Evaluate each kind into a folder of its own.")
    of = "the reconstruction's own voxels, which flatters methods that fit data" if own == {True} else "finer voxels"
    return f"Scans of {of} ({', '.join(physics)})."


def tables(rows: list[Row], groups: dict[str, str], reference: str, source: object) -> list[str]:
    """The tables as Markdown.

    Args:
        rows: of metrics.csv.
        groups: group by case.
        reference: name of the method to compare with.
        source: what to name in the message.

    Raises:
        InputError: when the reference has no rows.
    """
    methods = list(dict.fromkeys(row["method"] for row in rows))
    if reference not in methods:
        raise InputError(source, f"has no rows of {reference!r}.", f"Choose one of {', '.join(methods) or 'none'}.")
    views = sorted({int(row["views"]) for row in rows})
    by_group = defaultdict(set)
    for row in rows:
        by_group[groups.get(row["case"], "others")].add(row["case"])
    by_group["all"] = {row["case"] for row in rows}
    found = {(row["case"], row["method"], int(row["views"])): row for row in rows}
    means = [["group (cases)", "views", *methods]]
    for group, cases in by_group.items():
        for count in views:
            cells = [_means([found[key] for c in sorted(cases) if (key := (c, m, count)) in found]) for m in methods]
            means.append([f"{group} ({len(cases)})", str(count), *cells])
    gains = [["method", "views", f"mean gain over {reference}, dB", "least gain, dB", "case of the least gain"]]
    for method in methods:
        for count in views if method != reference else ():
            pairs = {
                case: _psnr(found[case, method, count]) - _psnr(found[case, reference, count])
                for case in sorted(by_group["all"])
                if {(case, method, count), (case, reference, count)} <= found.keys()
            }
            if pairs:
                worst = min(pairs, key=pairs.get)
                gains.append(
                    [method, str(count), f"{mean(pairs.values()):+.2f}", f"{pairs[worst]:+.2f}", worst],
                )
    return [_markdown(means), _markdown(gains)]


def _psnr(row: Row) -> float:
    return float(row["psnr_db"])


def _means(rows: list[Row]) -> str:
    """PSNR, SSIM and VIF, averaged over the rows that have them."""
    texts = []
    for name, form in _METRICS.items():
        values = [float(row[name]) for row in rows if row.get(name)]
        texts.append(form.format(mean(values)) if values else "-")
    return " / ".join(texts)


def _markdown(lines: list[list[str]]) -> str:
    lines = [lines[0], ["---"] * len(lines[0]), *lines[1:]]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
