"""Damage to JSON: every value replaced by others of wrong kind or size, and files that are hard to parse."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.hostile.case import EITHER, Case

__all__ = ["VALUES", "hard_to_parse", "json_edited", "with_leaves"]

VALUES = (None, True, -1, 0, 1e300, float("nan"), "x", "$1+1", [], {"_target_": "os.getcwd"})
"""What values are replaced by; each leaf gets some of them in turn."""

HARD = {
    "nested 100,000 deep": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number of 6,000 digits": b'{"a": ' + b"9" * 6000 + b"}",
    "a list": b"[1, 2]",
    "a text": b'"text"',
    "not UTF-8": b'{"a": "\xff\xfe"}',
    "a key given twice": b'{"format": "a", "format": "b"}',
    "binary": bytes(range(256)),
    "30 MB": b'{"a": "' + b"x" * 30_000_000 + b'"}',
}


def hard_to_parse(reader: str, file: str) -> Iterator[Case]:
    """Files that are no JSON object of any use."""
    for name, content in HARD.items():
        yield Case(reader, f"{file}: {name}", lambda folder, c=content: write(folder / file, c))


def json_edited(reader: str, file: str, most: int) -> Iterator[Case]:
    """Cases with one value of a JSON file replaced, spread evenly over its values."""
    for n in range(most):
        make = partial(edit_file, file=file, share=n / most)
        yield Case(reader, f"{file}: edit {n} of {most}", make, EITHER)


def edit_file(folder: Path, file: str, share: float) -> None:
    """Applies the edit at a share of all that there are."""
    path = folder / file
    edits = list(with_leaves(json.loads(path.read_text()), per_leaf=3))
    write(path, json.dumps(edits[int(share * len(edits))]).encode())


def with_leaves(content: Any, per_leaf: int) -> Iterator[Any]:
    """Copies of plain content with one value replaced or left out."""
    values = itertools.cycle(VALUES)
    for place in _places(content):
        for value in itertools.islice(values, per_leaf):
            yield _changed(content, place, partial(_set, value=value))
        yield _changed(content, place, lambda parent, key: parent.pop(key))


def _set(parent: Any, key: Any, value: Any) -> None:
    parent[key] = value


def _places(content: Any, before: tuple = ()) -> Iterator[tuple]:
    """Keys and indices that lead to each value; of lists the first and the last alone."""
    if isinstance(content, dict):
        keys: list[Any] = list(content)
    else:
        keys = sorted({0, len(content) - 1}) if isinstance(content, list) and content else []
    for key in keys:
        yield (*before, key)
        yield from _places(content[key], (*before, key))


def _changed(content: Any, place: tuple, change: Callable[[Any, Any], object]) -> Any:
    made = copy.deepcopy(content)
    parent = made
    for key in place[:-1]:
        parent = parent[key]
    change(parent, place[-1])
    return made


def write(path: Path, content: bytes) -> None:
    """Writes a file."""
    path.write_bytes(content)
