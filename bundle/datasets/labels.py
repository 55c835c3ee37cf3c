"""Joining images with their labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bundle.datasets.raw_case import RawCase, RawFile
from bundle.errors import InputError

__all__ = ["with_label"]


def with_label(case: RawCase, labels: Sequence[RawFile], needed: bool) -> RawCase:
    """The case with its label, or with the problem that it has none though one is needed, or several."""
    if len(labels) == 1:
        return replace(case, label=labels[0])
    if labels:
        named = " and ".join(str(label) for label in labels)
        problem = InputError(case.image, f"has several labels, {named}.", "Leave one of them.")
        return replace(case, problem=problem) if needed else replace(case, label_problem=problem)
    if needed:
        problem = InputError(case.image, f"has no label named {case.name}.", "Download the labels into the source.")
        return replace(case, problem=problem)
    return case
