from __future__ import annotations

import numpy as np
import pytest

from bundle.errors import InputError
from bundle.nnunet.label_classes import LabelClasses


def test_named_structures_become_classes_in_their_order():
    classes = LabelClasses.named("{right lung: [12, 13, 14], left lung: [10, 11], heart: 51}")
    assert classes.dataset_labels == {"background": 0, "right lung": 1, "left lung": 2, "heart": 3}
    labels = np.array([[[0, 10, 14], [51, 11, 99]], [[13, 12, 9], [-1, 52, 255]]], dtype=np.int16)
    assert classes.apply(labels).tolist() == [[[0, 2, 1], [3, 2, 0]], [[1, 1, 0], [0, 0, 0]]]
    assert classes.apply(labels).dtype == np.uint8


def test_mappings_and_underscores_are_understood():
    assert LabelClasses.named({"left_lung": 10, "right_lung": [12, 13]}).values == {
        "left lung": (10,),
        "right lung": (12, 13),
    }


def test_without_names_every_value_is_a_class():
    classes = LabelClasses.of_values([7, 0, 3, 300])
    assert classes.dataset_labels == {"background": 0, "structure 3": 1, "structure 7": 2, "structure 300": 3}
    assert classes.apply(np.array([300, 7, 3, 0, 1], dtype=np.uint16)).tolist() == [3, 2, 1, 0, 0]


def test_many_classes_are_16_bit():
    classes = LabelClasses.of_values(range(0, 900, 3))
    applied = classes.apply(np.array([897, 3, 4]))
    assert applied.dtype == np.uint16
    assert applied.tolist() == [299, 1, 0]


@pytest.mark.parametrize("structures", [{"background": 1}, "{Ignore: 2}"])
def test_names_that_nnunet_keeps_are_refused(structures):
    with pytest.raises(InputError, match="nnU-Net keeps it"):
        LabelClasses.named(structures)


def test_structures_that_make_no_sense_are_refused():
    with pytest.raises(InputError, match="structures: has the name 'lung' twice"):
        LabelClasses.named("{lung: 12, lung: 13}")


def test_structures_that_no_case_has_are_refused():
    classes = LabelClasses.named({"lung": [10, 11], "heart": [51]})
    classes.check_found({0, 11, 51})
    with pytest.raises(InputError, match=r"structures heart: has the values \[51\], which no case has"):
        classes.check_found({0, 10, 11})


def test_labels_without_any_structure_are_refused():
    with pytest.raises(InputError, match="are 0 everywhere"):
        LabelClasses.of_values([0])
