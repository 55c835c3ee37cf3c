"""Dividing cases into training, validation and test, by patient and by a rule that anyone can repeat."""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from bundle.data.datalist import sections_checksum

__all__ = ["SECTIONS", "Split", "make_split"]

SECTIONS = ("training", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Which cases serve for what.

    Args:
        sections: names of the cases of each of SECTIONS, sorted.
        rule: how the split came about, in words.
    """

    sections: Mapping[str, tuple[str, ...]]
    rule: str

    @property
    def checksum(self) -> str:
        """See :func:`bundle.data.datalist.sections_checksum`."""
        return sections_checksum(self.sections)

    def section_by_case(self) -> dict[str, str]:
        """The section of every case."""
        return {case: name for name in SECTIONS for case in self.sections[name]}

    def only(self, cases: Iterable[str]) -> Split:
        """The same split with some of its cases alone."""
        kept = set(cases)
        return Split({name: tuple(c for c in self.sections[name] if c in kept) for name in SECTIONS}, self.rule)


def make_split(
    patients: Mapping[str, str],
    counts: Mapping[str, int] | None,
    fractions: Mapping[str, float] | None,
    seed: int,
) -> Split:
    """Splits cases by patient.

    Patients are put in the order of the SHA-256 of "seed:patient", so that one case more or less does not reshuffle
    the others. In this order each goes to the test section if all of its cases still fit there; of the rest, each to
    the validation section in the same way; what remains is for training. A patient's cases stay together.

    The sizes are the published counts if as many cases were found. Otherwise they are in proportion to the counts or
    fractions, rounded by largest remainders, except that no section with a share is empty as long as there are
    patients enough; training comes first.

    Args:
        patients: the patient of every case.
        counts: published number of cases of each of SECTIONS, if there is one.
        fractions: share of each of SECTIONS, where there are no counts.
        seed: seed of the order.
    """
    sizes = {name: Fraction(str(share)) for name, share in (counts or fractions or {}).items()}
    total = len(patients)
    if counts and sum(counts.values()) == total:
        targets, kind = dict(counts), "the published counts"
    else:
        targets, kind = _proportional(total, sizes), "in proportion to the published counts" if counts else "fractions"
    chosen = _fill(patients, targets, seed)
    sizes_now = {name: len(chosen[name]) for name in SECTIONS}
    log = logging.getLogger(__name__)
    if counts and sum(counts.values()) != total:
        log.warning(
            "Found %d cases where %d were published: the split is in proportion, %s, and not that of publications.",
            total,
            sum(counts.values()),
            _text(sizes_now),
        )
    elif sizes_now != targets:
        log.warning("Patients with several cases make the split %s instead of %s.", _text(sizes_now), _text(targets))
    return Split(
        {name: tuple(sorted(chosen[name])) for name in SECTIONS},
        f"seed {seed}: patients in the order of SHA-256 of seed:patient fill test, then validation, then training; "
        f"sizes {kind}",
    )


def _proportional(total: int, shares: Mapping[str, Fraction]) -> dict[str, int]:
    """Whole numbers with a given sum in proportion to shares, by largest remainders; see make_split."""
    exact = {name: total * shares[name] / sum(shares.values()) for name in SECTIONS}
    targets = {name: int(exact[name]) for name in SECTIONS}
    by_remainder = sorted(SECTIONS, key=lambda name: targets[name] - exact[name])
    for name in by_remainder[: total - sum(targets.values())]:
        targets[name] += 1
    for name in SECTIONS:
        largest = max(SECTIONS, key=lambda other: targets[other])
        if targets[name] == 0 and (shares[name] > 0 or name == "training") and targets[largest] > 1:
            targets[largest] -= 1
            targets[name] += 1
    return targets


def _fill(patients: Mapping[str, str], targets: Mapping[str, int], seed: int) -> dict[str, list[str]]:
    cases_of: dict[str, list[str]] = defaultdict(list)
    for case, patient in patients.items():
        cases_of[patient].append(case)
    left = sorted(cases_of, key=lambda patient: (_digest(f"{seed}:{patient}"), patient))
    chosen: dict[str, list[str]] = {}
    for name in ("test", "validation"):
        kept_back = 1 + (name == "test" and targets["validation"] > 0)  # patients for the sections yet to be filled
        room = targets[name]
        taken: list[str] = []
        for patient in left:
            if len(cases_of[patient]) <= room and len(left) - len(taken) > kept_back:
                taken.append(patient)
                room -= len(cases_of[patient])
        if not taken and targets[name] and len(left) > kept_back:
            taken = [min(left, key=lambda patient: len(cases_of[patient]))]
        placed = set(taken)
        left = [patient for patient in left if patient not in placed]
        chosen[name] = [case for patient in taken for case in cases_of[patient]]
    chosen["training"] = [case for patient in left for case in cases_of[patient]]
    return chosen


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()  # names of files need not be UTF-8


def _text(sizes: Mapping[str, int]) -> str:
    return "/".join(str(sizes[name]) for name in SECTIONS)
