from __future__ import annotations

from bundle.data.datalist import sections_checksum
from bundle.preparation.job import FAILED, PREPARED, SKIPPED, Outcome
from bundle.preparation.report import datalist, refuse_shared_items
from bundle.preparation.splits import Split


def test_two_cases_with_an_item_of_one_name_are_failures():
    outcomes = [
        Outcome("a", PREPARED, ("a_part1", "a_part2")),
        Outcome("a_part2", SKIPPED, ("a_part2",)),
        Outcome("b", PREPARED, ("b",)),
    ]
    first, second, third = refuse_shared_items(outcomes)
    assert (first.status, first.items) == (second.status, second.items) == (FAILED, ())
    assert first.error == "its item a_part2 has the name of one of a_part2. Rename one of the cases."
    assert "one of a." in second.error
    assert third == outcomes[2]


def test_datalist_of_parts():
    split = Split({"training": ("b",), "validation": ("a",), "test": ("c",)}, "rule")
    outcomes = [Outcome("a", SKIPPED, ("a_part1", "a_part2")), Outcome("b", PREPARED, ("b",)), Outcome("c", FAILED)]
    listed = datalist("set", outcomes, {"a": "P", "b": "Q", "c": "R"}, split)
    assert listed["validation"] == [
        {"image": "cases/a_part1", "case": "a_part1", "patient": "P"},
        {"image": "cases/a_part2", "case": "a_part2", "patient": "P"},
    ]
    assert listed["test"] == []
    assert listed["split"] == {
        "checksum": sections_checksum({"training": ["b"], "validation": ["a_part2", "a_part1"]}),
        "planned_checksum": split.checksum,
        "rule": "rule",
        "missing": ["c"],
    }
