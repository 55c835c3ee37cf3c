from __future__ import annotations

import pytest

from scripts.benchmarks.measuring import in_new_process
from scripts.benchmarks.segmentation import by_structure, on_whole_grid, organ_labels, time_and_memory


def test_both_ways_give_the_same_figures():
    labels, voxel_mm = organ_labels(40, displaced=True)
    reference, _ = organ_labels(40, displaced=False)
    assert by_structure(labels, reference, voxel_mm) == pytest.approx(on_whole_grid(labels, reference, voxel_mm))


def test_time_and_memory_of_a_process_of_its_own():
    seconds, memory_mb, figures = in_new_process(time_and_memory, by_structure, 24, 1)
    assert 0 < seconds < 60
    assert memory_mb > 50
    assert len(figures) == 15
