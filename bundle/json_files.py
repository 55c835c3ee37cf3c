"""JSON that is taken for what it says or refused, and small JSON files that are complete or absent."""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from pathlib import Path
from typing import Any

from bundle.atomic import atomic_path
from bundle.errors import InputError
from bundle.small_files import MOST_BYTES, as_text, read_text

__all__ = ["parse_json", "parse_json_object", "read_json_object", "write_json"]

MOST_DEPTH = 64
"""Of lists and objects in each other."""
_MOST_DIGITS = 19  # of whole numbers: those of 64 bits
_REMEDY = "Mend it, or get another copy."


def write_json(content: Any, path: Path) -> None:
    """Writes plain values, complete or not at all.

    Raises:
        InputError: when the disk is full or the folder is not writable.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_json_object(path: str | os.PathLike, remedy: str = _REMEDY) -> dict[str, Any] | None:
    """Reads a JSON object from a file or a URL; None if there is no such file.

    Args:
        path: file or URL.
        remedy: what to do about a file that is wrong.

    Raises:
        InputError: when the file is damaged or is something else.
    """
    try:
        text = read_text(path)
    except InputError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
    return parse_json_object(text, path, remedy)


def parse_json_object(text: str | bytes, source: object, remedy: str = _REMEDY) -> dict[str, Any]:
    """What a JSON text holds, which has to be an object; see :func:`parse_json`."""
    content = parse_json(text, source, remedy)
    if not isinstance(content, dict):
        raise InputError(source, "is not a JSON object.", remedy)
    return content


def parse_json(text: str | bytes, source: object, remedy: str = _REMEDY) -> Any:
    """What a JSON text holds.

    Args:
        text: the text, or its bytes in UTF-8.
        source: what to name in messages.
        remedy: what to do about a text that is wrong.

    Raises:
        InputError: when it is too long, no JSON, nested too deeply, gives a name twice, or holds NaN, infinity, a whole
            number beyond 64 bits or a NUL character.
    """
    if len(text) > MOST_BYTES:
        raise InputError(source, f"is JSON of more than {MOST_BYTES >> 20} MiB.", remedy)
    if isinstance(text, bytes):
        text = as_text(text, source)
    try:
        content = json.loads(
            text, object_pairs_hook=_unique, parse_int=_whole, parse_float=_finite, parse_constant=_constant
        )
    except _FaultError as fault:
        raise InputError(source, fault.problem, fault.remedy or remedy) from fault
    except RecursionError as error:
        raise InputError(source, "is nested too deeply.", remedy) from error
    except ValueError as error:
        raise InputError(source, f"is damaged: no valid JSON ({error}).", remedy) from error
    _check_values(content, source, remedy)
    return content


class _FaultError(Exception):
    """What is wrong with a value."""

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem, self.remedy = problem, remedy


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _FaultError(f"{twice[:100]} is given more than once.", "Keep one of them.")
    return record


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > _MOST_DIGITS:
        raise _FaultError(f"holds a whole number of {len(digits)} digits.")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _FaultError(f"holds the number {digits[:20]}, which is too large.")
    return value


def _constant(name: str) -> float:
    raise _FaultError(f"holds {name}, which is no number of JSON.")


def _check_values(content: Any, source: object, remedy: str) -> None:
    """Refuses what is nested too deeply for others to walk, and NUL in texts, which no file name may have."""
    level = [content]
    for _ in range(MOST_DEPTH + 1):
        texts = (part for value in level for part in ([value] if isinstance(value, str) else _names(value)))
        if any("\0" in text for text in texts):
            raise InputError(source, "holds a text with a NUL character.", remedy)
        level = [part for value in level for part in _parts(value)]
        if not level:
            return
    raise InputError(source, f"is nested more than {MOST_DEPTH} deep.", remedy)


def _names(value: Any) -> Any:
    return value if isinstance(value, dict) else ()


def _parts(value: Any) -> Any:
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
