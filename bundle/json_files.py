"""Small JSON files that are complete or absent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bundle.atomic import atomic_path
from bundle.errors import InputError

__all__ = ["read_json_object", "write_json"]


def write_json(content: Any, path: Path) -> None:
    """Writes plain values, complete or not at all.

    Raises:
        InputError: when the disk is full or the folder is not writable.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_json_object(path: Path) -> dict[str, Any] | None:
    """Reads a JSON object; None if there is no such file.

    Raises:
        InputError: when the file is damaged or is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise InputError(path, f"is damaged ({error}).", "Restore it, or choose another output.") from error
    if not isinstance(content, dict):
        raise InputError(path, "is not a JSON object.", "Restore it, or choose another output.")
    return content
