from __future__ import annotations

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.geometry import circular
from bundle.phantoms import Ellipsoid, asymmetric_phantom, line_integrals
from bundle.physics.line_integrals import check_line_integrals

MU_PER_MM = 0.03
SCAN = circular(
    np.deg2rad([0.0, 72.0, 144.0, 216.0, 288.0]), 500.0, 800.0, (20, 44), (12.0, 9.0), (30, 28, 22), (5.0, 5.0, 6.0)
)


def views(scan=SCAN) -> np.ndarray:
    """[view, v, u] line integrals of an asymmetric phantom with air on both sides."""
    return (MU_PER_MM * line_integrals(asymmetric_phantom(SCAN.volume_size_mm), scan)).astype(np.float32)


def with_view(number: int, image) -> np.ndarray:
    values = views()
    values[number] = image
    return values


def with_line(index, value) -> np.ndarray:
    values = views()
    values[index] = value
    return values


@pytest.mark.parametrize(
    ("values", "told"),
    [
        (-views(), r"below zero in \d+ % of view 0, .* is the minus of -ln\(I / I0\) missing"),
        (with_view(3, -views()[3]), "of view 3"),
        (
            views() + np.log(10),
            "of 2.30 where they are least, where air has 0: is I0 10 times too large",
        ),
        (views() - np.log(10), "below zero .*or I0 too small"),
        (views() * 12 - 0.5, "of -0.50 where they are least.* 1.65 times too small"),
        (with_view(2, 0.0), r"nothing but 0 in view 2 \(the first is 0\). Give the view that is missing"),
        (with_view(4, 1.5), "nothing but 1.5 in view 4"),
        (np.zeros((5, 20, 44), np.float32), "nothing but 0 in every view"),
        (with_view(4, views()[1]), "the same image in the views 1 and 4, .* mm apart"),
        (np.repeat(views()[:1], 5, axis=0), "the same image in the views 0 and 1"),
        (with_line(np.s_[:, 9], 10.8), "the row 9 that never changes.*bad_pixels"),
        (with_line(np.s_[:, 9:12], 0.0), "the row 9 that never changes"),
        (with_line(np.s_[:, :, 20], np.linspace(9, 10, 20)), "the column 20 that never changes"),
    ],
)
def test_what_is_no_scan_is_asked_about(values, told):
    with pytest.raises(InputError, match=rf"^scan.npz: (has|holds) .*{told}.* set check_projections to false"):
        check_line_integrals(values, SCAN.source_mm, "scan.npz")


def noisy(photons: float) -> np.ndarray:
    random = np.random.default_rng(5)
    counts = random.poisson(photons * np.exp(-views().astype(np.float64))).clip(1)
    return -np.log(counts / photons)


def truncated() -> np.ndarray:
    """A detector narrower than the object, which no ray passes by."""
    return views(circular(SCAN.angles_rad, 500.0, 800.0, (20, 18), (4.0, 5.0), (30, 28, 22), (5.0, 5.0, 6.0)))


def shifted() -> np.ndarray:
    """A detector that sees air on one side only."""
    return views(
        circular(SCAN.angles_rad, 500.0, 800.0, (20, 24), (12.0, 9.0), (30, 28, 22), (5.0, 5.0, 6.0), (0.0, 80.0))
    )


def centred_ball() -> np.ndarray:
    """The same image in every view, rightly."""
    image = line_integrals([Ellipsoid((0.0, 0.0, 0.0), (40.0, 40.0, 40.0), MU_PER_MM)], SCAN)[0]
    return np.repeat(image[None], 5, axis=0).astype(np.float32)


@pytest.mark.parametrize(
    "values",
    [views(), noisy(1e5), noisy(30.0), truncated(), shifted(), centred_ball(), views()[:1], views() * 1.2 + 0.1],
    ids=["exact", "noisy", "starved", "truncated", "shifted", "ball", "one view", "a drift of the tube"],
)
def test_scans_pass(values):
    check_line_integrals(values, SCAN.source_mm[: len(values)], "scan.npz")


def test_opposite_views_of_an_object_that_is_the_same_from_both_sides_pass():
    turn = circular(np.arange(12) * np.pi / 6 + 0.1, 500.0, 800.0, (20, 44), (12.0, 9.0), (30, 28, 22), (5.0, 5.0, 6.0))
    ellipse = [Ellipsoid((0.0, 0.0, 0.0), (50.0, 30.0, 400.0), MU_PER_MM)]
    values = line_integrals(ellipse, turn).astype(np.float32)
    values[6:] = values[:6]  # to the last bit
    check_line_integrals(values, turn.source_mm, "scan.npz")
    values[8] = values[1]
    with pytest.raises(InputError, match="holds the same image in the views"):
        check_line_integrals(values, turn.source_mm, "scan.npz")


def test_an_opposite_view_that_repeats_another_is_told():
    turn = circular(np.arange(4) * np.pi / 2, 500.0, 800.0, (20, 44), (12.0, 9.0), (30, 28, 22), (5.0, 5.0, 6.0))
    values = views(turn)
    values[2] = values[0]
    with pytest.raises(InputError, match="holds the same image in the views 0 and 2, 1000 mm apart"):
        check_line_integrals(values, turn.source_mm, "scan.npz")


def test_a_view_may_be_given_twice_where_it_was_taken_twice():
    twice = np.array([0, 1, 2, 1])
    check_line_integrals(views()[twice], SCAN.source_mm[twice], "scan.npz")
