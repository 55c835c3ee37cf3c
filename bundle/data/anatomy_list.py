"""Endless lists of anatomies to generate: what each item is follows from a seed and its number alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bundle.data.anatomy.generate import ANATOMIES
from bundle.data.datalist import load_datalist
from bundle.errors import InputError

__all__ = ["AnatomyItems", "anatomy_items"]


class AnatomyItems:
    """Items for :class:`bundle.data.anatomy_volume.AnatomyVolumed`, by number from 0 and without an end.

    A procedural item is {"case", "source": "procedural", "anatomy", "seed"}, a real one {"case", "source": "real",
    "image", "seed"} with the "label" of its case where it has one. Real cases are drawn by their
    "group" first, all groups alike, then by their "weight" (1 if they have none) among the group's cases: few chests
    among many limbs come as often as these. Cases without a "group" are one group.

    Args:
        seed: seed.
        anatomies: how often each procedural anatomy is drawn, relative to the others.
        real: real cases, such as entries of a datalist: "image", and "label", "group", "weight" where known.
        dataset_dir: data set that real cases are read from, in addition.
        section: its section.
        real_share: share of items that are warped real CTs, where there are any; 1 takes these alone.

    Raises:
        InputError: for an unknown anatomy, an impossible weight or share, or nothing to draw from.
    """

    def __init__(
        self,
        seed: int,
        anatomies: Mapping[str, float],
        real: Sequence[Mapping[str, Any]] = (),
        dataset_dir: str | None = None,
        section: str = "training",
        real_share: float = 0.5,
    ) -> None:
        self.seed = int(seed)
        cases = [dict(case) for case in real]
        cases += [] if dataset_dir is None else load_datalist(dataset_dir, section)
        if not 0 <= real_share <= 1:
            raise InputError("real_share", f"is {real_share}.", "Give a share from 0 to 1.")
        unknown = sorted(set(anatomies) - set(ANATOMIES))
        if unknown:
            raise InputError("anatomies", f"has {', '.join(unknown)}.", f"Choose among {', '.join(sorted(ANATOMIES))}.")
        self.real_share = float(real_share) if cases else 0.0
        self.anatomies = {name: float(weight) for name, weight in anatomies.items() if weight}
        self.groups = _grouped(cases)
        if min(self.anatomies.values(), default=0.0) < 0:
            raise InputError("anatomies", f"has the weights {dict(anatomies)}.", "Give weights of at least zero.")
        if self.real_share < 1 and not self.anatomies:
            raise InputError(
                "anatomies", "has no weight above zero.", "Give some, or real cases with a real_share of 1."
            )

    @property
    def names(self) -> list[str]:
        """The procedural anatomies with their weights, and the names of the real cases."""
        generated = [f"{name}: {weight:g}" for name, weight in self.anatomies.items()]
        return generated + [_name(case) for cases in self.groups.values() for case, _ in cases]

    def __getitem__(self, number: int) -> dict[str, Any]:
        """The item of a number."""
        if number < 0:
            raise IndexError(number)
        rng = np.random.default_rng([self.seed % 2**63, number])
        real, seed = bool(rng.uniform() < self.real_share), int(rng.integers(2**31))
        if not real:
            name = _drawn(rng, list(self.anatomies.items()))
            return {"case": f"{name}-{seed}", "source": "procedural", "anatomy": name, "seed": seed}
        group = sorted(self.groups)[int(rng.integers(len(self.groups)))]
        case = _drawn(rng, self.groups[group])
        kept = {key: case[key] for key in ("image", "label") if case.get(key) is not None}
        return {"case": f"{_name(case)}-{seed}", "source": "real", **kept, "seed": seed}


def anatomy_items(
    count: int,
    seed: int,
    anatomies: Mapping[str, float],
    real: Sequence[Mapping[str, Any]] = (),
    dataset_dir: str | None = None,
    section: str = "training",
    real_share: float = 0.5,
) -> list[dict[str, Any]]:
    """The first items of :class:`AnatomyItems`, as a list; which they are does not depend on ``count``."""
    items = AnatomyItems(seed, anatomies, real, dataset_dir, section, real_share)
    return [items[number] for number in range(count)]


def _grouped(cases: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[Mapping[str, Any], float]]]:
    """Cases with their weights, by group; those of no weight are left out."""
    groups: dict[str, list[tuple[Mapping[str, Any], float]]] = {}
    for case in cases:
        if not isinstance(case.get("image"), str):
            raise InputError("real cases", f"have an entry without an image: {dict(case)}.", "Name its CT.")
        weight = case.get("weight", 1.0)
        if not isinstance(weight, (int, float)) or not 0 <= weight < float("inf"):
            raise InputError(f"case {_name(case)}", f"has the weight {weight!r}.", "Give a number of at least zero.")
        if weight > 0:
            groups.setdefault(str(case.get("group", "")), []).append((case, float(weight)))
    if cases and not groups:
        raise InputError("real cases", "all have a weight of zero.", "Give one of them a weight above zero.")
    return groups


def _name(case: Mapping[str, Any]) -> str:
    return str(case.get("case") or case["image"])


def _drawn(rng: np.random.Generator, weighted: Sequence[tuple[Any, float]]) -> Any:
    weights = np.array([weight for _, weight in weighted])
    return weighted[int(rng.choice(len(weighted), p=weights / weights.sum()))][0]
