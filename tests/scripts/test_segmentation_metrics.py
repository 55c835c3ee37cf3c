from __future__ import annotations

import pytest

from scripts.segmentation_metrics import by_structure, in_new_process, on_whole_grid, organ_labels


def test_both_ways_give_the_same_figures():
    labels, voxel_mm = organ_labels(40, displaced=True)
    reference, _ = organ_labels(40, displaced=False)
    assert by_structure(labels, reference, voxel_mm) == pytest.approx(on_whole_grid(labels, reference, voxel_mm))


def test_time_and_memory_of_a_process_of_its_own():
    seconds, memory_mb = in_new_process(by_structure, 24, 1)
    assert 0 < seconds < 60
    assert memory_mb > 50
