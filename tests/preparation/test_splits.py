from __future__ import annotations

import hashlib
import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bundle.datasets import DATASETS
from bundle.preparation.splits import SECTIONS, make_split

FRACTIONS = {"training": 0.8, "validation": 0.1, "test": 0.1}
PUBLISHED = {
    "luna16": (738, 50, 100),
    "toothfairy": (343, 25, 75),
    "panorama": (1244, 200, 600),
    "pengwin": (60, 10, 30),
    "knee": (464, 50, 100),
}


def sizes(split) -> tuple[int, ...]:
    return tuple(len(split.sections[name]) for name in SECTIONS)


def singles(number: int) -> dict[str, str]:
    return {f"case{i:04}": f"patient{i:04}" for i in range(number)}


@pytest.mark.parametrize(("name", "counts"), PUBLISHED.items())
def test_published_counts(name, counts, caplog):
    patients = singles(sum(counts))
    split = make_split(patients, DATASETS[name].counts, None, seed=0)
    assert sizes(split) == counts
    assert not caplog.records
    assert "published counts" in split.rule
    assert set(split.section_by_case()) == set(patients)


@pytest.mark.parametrize(("name", "counts"), PUBLISHED.items())
def test_published_counts_with_patients_of_several_cases(name, counts):
    """Every third patient has two cases, every tenth four."""
    patients, number = {}, 0
    while len(patients) < sum(counts):
        for study in range(4 if number % 10 == 0 else 2 if number % 3 == 0 else 1):
            if len(patients) < sum(counts):
                patients[f"{number:05}_{study:05}"] = f"{number:05}"
        number += 1
    split = make_split(patients, DATASETS[name].counts, None, seed=3)
    assert sizes(split) == counts
    check_patients(split, patients)


def check_patients(split, patients):
    sections = {name: {patients[case] for case in split.sections[name]} for name in SECTIONS}
    assert not sections["training"] & sections["validation"]
    assert not sections["training"] & sections["test"]
    assert not sections["validation"] & sections["test"]


def test_rule_is_the_documented_one():
    patients = singles(10)
    order = sorted(patients, key=lambda case: hashlib.sha256(f"7:{patients[case]}".encode()).hexdigest())
    split = make_split(patients, {"training": 5, "validation": 2, "test": 3}, None, seed=7)
    assert set(split.sections["test"]) == set(order[:3])
    assert set(split.sections["validation"]) == set(order[3:5])
    assert split.sections["training"] == tuple(sorted(order[5:]))


def test_checksum_is_the_documented_one():
    split = make_split({"b": "1", "a": "2", "ü": "3"}, {"training": 3, "validation": 0, "test": 0}, None, seed=0)
    text = '{"training": ["a", "b", "\\u00fc"]}'
    assert json.loads(text)["training"] == ["a", "b", "ü"]
    assert split.checksum == hashlib.sha256(text.encode()).hexdigest()[:16]


def test_seeds_differ_and_order_of_finding_does_not():
    patients = singles(100)
    split = make_split(patients, None, FRACTIONS, seed=0)
    assert make_split(dict(reversed(patients.items())), None, FRACTIONS, seed=0) == split
    assert make_split(patients, None, FRACTIONS, seed=1).checksum != split.checksum


def test_one_case_more_moves_few():
    before = make_split(singles(200), None, FRACTIONS, seed=0).section_by_case()
    after = make_split(singles(201), None, FRACTIONS, seed=0).section_by_case()
    assert sum(before[case] != after[case] for case in before) <= 2


@pytest.mark.parametrize(
    ("number", "shares", "expected"),
    [
        (1, FRACTIONS, (1, 0, 0)),
        (2, FRACTIONS, (1, 1, 0)),
        (3, FRACTIONS, (1, 1, 1)),
        (5, FRACTIONS, (3, 1, 1)),
        (10, FRACTIONS, (8, 1, 1)),
        (17, FRACTIONS, (13, 2, 2)),
        (100, {"training": 0.95, "validation": 0.05, "test": 0.0}, (95, 5, 0)),
        (3, {"training": 0.95, "validation": 0.05, "test": 0.0}, (2, 1, 0)),
        (1, {"training": 0.1, "validation": 0.1, "test": 0.8}, (1, 0, 0)),
    ],
)
def test_fractions(number, shares, expected):
    assert sizes(make_split(singles(number), None, shares, seed=0)) == expected


@pytest.mark.parametrize(("number", "expected"), [(444, (369, 25, 50)), (889, (739, 50, 100)), (3, (1, 1, 1))])
def test_other_numbers_than_published_are_in_proportion_and_said_so(number, expected, caplog):
    with caplog.at_level(logging.WARNING):
        split = make_split(singles(number), DATASETS["luna16"].counts, None, seed=0)
    assert sizes(split) == expected
    assert f"Found {number} cases where 888 were published" in caplog.text
    assert "proportion" in split.rule


def test_large_families_do_not_empty_sections(caplog):
    patients = {f"{patient}{number}": patient for patient in "abc" for number in range(5)}
    split = make_split(patients, None, FRACTIONS, seed=0)
    assert sizes(split) == (5, 5, 5)
    assert "instead of" in caplog.text
    assert sizes(make_split(dict.fromkeys(patients, "one"), None, FRACTIONS, seed=0)) == (15, 0, 0)


@settings(max_examples=150, deadline=None)
@given(
    owners=st.lists(st.integers(0, 25), min_size=1, max_size=60),
    shares=st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(0, 20)),
    published=st.booleans(),
    seed=st.integers(0, 5),
)
def test_no_patient_in_two_sections(owners, shares, published, seed):
    patients = {f"case{i}": f"patient{owner}" for i, owner in enumerate(owners)}
    counts = dict(zip(SECTIONS, shares))
    split = make_split(patients, counts if published else None, None if published else counts, seed)
    check_patients(split, patients)
    assert sorted(case for name in SECTIONS for case in split.sections[name]) == sorted(patients)
    assert split.sections["training"]
    for name in SECTIONS[1:]:
        assert counts[name] or not split.sections[name]


def test_names_that_are_not_utf8_are_ordered_by_their_bytes():
    patients = {name: name for name in ("a", "\udcff", "\udcfe")}
    order = sorted([b"a", b"\xff", b"\xfe"], key=lambda name: hashlib.sha256(b"0:" + name).hexdigest())
    split = make_split(patients, {"training": 1, "validation": 1, "test": 1}, None, seed=0)
    assert [split.sections[part][0].encode(errors="surrogateescape") for part in reversed(SECTIONS)] == order


def test_only_some():
    split = make_split(singles(10), None, FRACTIONS, seed=0)
    kept = list(split.sections["training"][:2])
    assert split.only(kept).sections == {"training": tuple(kept), "validation": (), "test": ()}
    assert split.only(kept).checksum != split.checksum
