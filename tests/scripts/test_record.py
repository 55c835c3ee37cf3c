from __future__ import annotations

import json
import math

import pytest

from bundle.errors import InputError
from scripts.benchmarks.record import Record
from scripts.benchmarks.result import Check, Column, PartResult, Table

HERE = {"machine": "a", "threads": 2, "versions": {"torch": "1"}, "commit": "abc"}
RESULT = PartResult(
    {"size": 8},
    {"times": Table([{"case": "x", "seconds": 0.5, "extra_memory_mb": math.nan}], [Column("case", "case")])},
    [Check("equal", True, 1e-6, 1e-4)],
)


def test_parts_are_kept_under_the_same_circumstances(tmp_path):
    path = tmp_path / "benchmark.json"
    Record(path, HERE).add("one", RESULT)
    Record(path, HERE).add("two", "needs a package")
    stored = json.loads(path.read_text())
    assert stored["commit"] == "abc"
    assert stored["units"]["seconds"] == "s"
    assert stored["parts"]["two"]["skipped"] == "needs a package"
    one = stored["parts"]["one"]
    assert one["tables"]["times"] == [{"case": "x", "seconds": 0.5, "extra_memory_mb": None}]
    assert one["checks"] == [{"name": "equal", "passed": True, "found": 1e-6, "limit": 1e-4}]
    assert one["settings"] == {"size": 8}


@pytest.mark.parametrize("change", [{"machine": "b"}, {"versions": {"torch": "2"}}, {"commit": "abd"}])
def test_parts_of_other_circumstances_are_dropped(tmp_path, change):
    path = tmp_path / "benchmark.json"
    Record(path, HERE).add("one", RESULT)
    later = Record(path, {**HERE, **change})
    assert later.dropped == ["one"]
    assert next(iter(change)) in later.differences
    later.add("two", RESULT)
    assert set(json.loads(path.read_text())["parts"]) == {"two"}


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "benchmark.json"
    path.write_text("{")
    with pytest.raises(InputError, match=r"benchmark\.json: is damaged"):
        Record(path, HERE)
