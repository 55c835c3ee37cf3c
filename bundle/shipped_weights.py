"""The weights that come with the bundle: their checksums, which configs/metadata.json has."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.json_files import read_json_object
from bundle.paths import ROOT

__all__ = ["check_shipped", "describe_weights"]

_METADATA = ROOT / "configs" / "metadata.json"
WEIGHTS = "weights"
"""Entry of the metadata: size and SHA-256 of files by their path in the bundle."""


def describe_weights(path: Path) -> dict[str, Any]:
    """What the metadata says of a file of weights."""
    return {"bytes": path.stat().st_size, "sha256": file_sha256(path)}


def check_shipped(path: Path) -> None:
    """Compares a file of weights that lies where the bundle has its own with what was shipped.

    Training may put other weights in their place. They are not halved, so that they are of another size, and pass.

    Args:
        path: any file of weights.

    Raises:
        InputError: when it has the size of the shipped file but not its checksum.
    """
    resolved = path.resolve()
    if not resolved.is_relative_to(ROOT) or not _METADATA.is_file():
        return
    metadata = read_json_object(_METADATA, "Get another copy of the bundle.") or {}
    shipped = metadata.get(WEIGHTS, {}).get(resolved.relative_to(ROOT).as_posix())
    if shipped is None or path.stat().st_size != shipped["bytes"]:
        return
    found = file_sha256(path)
    if found != shipped["sha256"]:
        raise InputError(
            path,
            f"is not what was shipped: its SHA-256 is {found}, and configs/metadata.json says {shipped['sha256']}.",
            "Get another copy of it; weights of your own belong under another name.",
        )
