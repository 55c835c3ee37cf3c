from __future__ import annotations

import numpy as np
import pytest
import torch

pytest.importorskip("matplotlib", reason="needs matplotlib")

from matplotlib.figure import Figure

from bundle.visual import PLANES, name_edges, plane, shortened, truth_and_prediction

# Voxels at the patient's left, back and head end.
ENDS = {"L": (-1, 1, 1), "P": (1, -1, 1), "H": (1, 1, -1)}
OPPOSITE = dict(zip("LPHRAF", "RAFLPH"))


@pytest.mark.parametrize("name", PLANES)
@pytest.mark.parametrize("end", ENDS)
def test_edges_are_named_where_the_patient_is(name, end):
    volume = np.zeros((5, 5, 5))
    volume[tuple(slice(-1, None) if at < 0 else slice(None) for at in ENDS[end])] = 1
    if "LPH".index(end) == PLANES[name].axis:
        return  # the plane cuts this axis
    image, _ = plane(volume, name, (1.0, 1.0, 1.0))
    bright = {
        "left": image[:, 0].all(),
        "right": image[:, -1].all(),
        "top": image[0].all(),
        "bottom": image[-1].all(),
    }
    named = dict(zip(bright, PLANES[name].edges))
    assert [named[edge] for edge, is_bright in bright.items() if is_bright] == [end]
    assert OPPOSITE[end] in named.values()


def test_letters_stand_at_their_edges():
    axes = Figure().add_subplot()
    name_edges(axes, "RLAP", colour="white")
    places = {text.get_text(): text.get_position() for text in axes.texts}
    assert places["R"][0] < 0.1 < 0.9 < places["L"][0]
    assert places["P"][1] < 0.1 < 0.9 < places["A"][1]
    assert {text.get_color() for text in axes.texts} == {"white"}


def test_long_texts_lose_their_middle():
    assert shortened("abcdefghij", 10) == "abcdefghij"
    assert shortened("abcdefghijk", 7) == "abc…ijk"


def test_pictures_show_truth_above_prediction_with_square_pixels():
    truth = torch.zeros(1, 4, 5, 6)
    truth[0, 0, :, :] = 1.0  # the patient's right
    prediction = truth / 2
    (picture,) = truth_and_prediction([{"label": truth, "pred": prediction}], (1.0, 1.0, 2.0))
    # Axial 5 rows of 4, coronal 12 rows of 4, sagittal 12 rows of 5.
    assert picture.shape == (1, 24, 13)
    torch.testing.assert_close(picture[0, 12:], picture[0, :12] / 2)
    assert picture[0, :5, 0].eq(1).all()
    assert picture[0, :12, 4].eq(1).all()
    assert picture[0, :12, 1:4].eq(0).all()
