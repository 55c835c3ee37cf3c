"""The bundle as one file: what MONAI's model zoo keeps, and what somebody needs who has nothing of this repository."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from bundle.atomic import atomic_path, check_output
from bundle.errors import InputError
from bundle.paths import is_inside

__all__ = ["BUNDLE_NAME", "bundle_files", "write_bundle"]

BUNDLE_NAME = "deepsparse_sparse_view_cbct"
LARGEST_MB = 25
"""Largest file that the model zoo takes; others are fetched as large_files.yml says."""

_PARTS = (
    "LICENSE",
    "large_files.yml",
    "configs/**/*.json",
    "configs/logging.conf",
    "docs/**/*",
    "models/README.md",
    "models/model.pt",
    "models/model.json",
    "models/pretrain.pt",
    "bundle/**/*.py",
    "bundle/**/*.css",
    "bundle/**/*.html",
    "sample_data/*",
)
_NEEDED = ("LICENSE", "configs/metadata.json", "models/model.pt")
_EARLIEST = (1980, 1, 1, 0, 0, 0)  # that a zip can hold: the same for all, so that equal files make an equal zip


def bundle_files(root: Path) -> Iterator[Path]:
    """The bundle's files, relative to its root, in order; links that lead out of it are left out."""
    found = {path for part in _PARTS for path in root.glob(part) if path.is_file() and not path.name.startswith(".")}
    inside = root.resolve()
    yield from sorted(path.relative_to(root) for path in found if is_inside(path, inside))


def write_bundle(root: str | os.PathLike, output: str | os.PathLike, version: str, overwrite: bool = False) -> Path:
    """Writes a zip with one folder, named like the bundle and its version; equal files make an equal zip.

    Args:
        root: the bundle's root.
        output: folder to write to.
        version: the bundle's version.
        overwrite: replace an existing file.

    Returns:
        The file.

    Raises:
        InputError: when the bundle lacks something, a file is larger than the zoo takes, or the output exists.
    """
    root, name = Path(root), f"{BUNDLE_NAME}_v{version}"
    path = check_output(Path(output) / f"{name}.zip", overwrite)
    files = list(bundle_files(root))
    missing = [file for file in _NEEDED if Path(file) not in files]
    if missing:
        raise InputError(root, f"lacks {', '.join(missing)}.", "Train the stages, or get the shipped weights.")
    for file in files:
        size = (root / file).stat().st_size
        if size > LARGEST_MB * 2**20:
            raise InputError(
                root / file, f"has {size / 2**20:.0f} MB, more than {LARGEST_MB}.", "List it in large_files.yml."
            )
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed,
    ):
        for part in files:
            entry = zipfile.ZipInfo(f"{name}/{part.as_posix()}", _EARLIEST)
            entry.compress_type, entry.create_system, entry.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            packed.writestr(entry, (root / part).read_bytes())
    return path
