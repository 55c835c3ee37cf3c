"""What reconstructions were made from: settings, weights and images, to be compared between runs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

import bundle
from bundle.byte_ranges import is_url
from bundle.checksums import file_sha256
from bundle.data.volume_files import data_files

__all__ = ["case_origin", "deciding_settings"]

_NOT_DECIDING = (
    *("output_dir", "overwrite", "view_counts", "section", "only_scans"),
    *("imports", "device", "num_workers", "progress"),
)


def deciding_settings(parser: ConfigParser) -> dict[str, str]:
    """The settings that volumes depend on, with the checksum of the weights."""
    content = {key: value for key, value in parser.get().items() if key not in _NOT_DECIDING}
    settings = {key: json.dumps(value, sort_keys=True, default=str) for key, value in content.items()}
    checkpoint = parser.get_parsed_content("checkpoint")
    weights = file_sha256(checkpoint) if checkpoint is not None and Path(checkpoint).is_file() else ""
    return {**settings, "weights": weights, "version": bundle.__version__}


def case_origin(item: Mapping[str, Any]) -> dict[str, str]:
    """Where a case of a data set comes from, and the checksum of its contents.

    Args:
        item: of a list of cases, with "image", and "projections" where stored.
    """
    return {
        name: _contents(str(item[name])) for name in ("image", "projections") if isinstance(item.get(name), (str, Path))
    }


def _contents(path: str) -> str:
    """SHA-256 of a file and of those that it names, or of a folder's files and their names; a URL stands for itself."""
    if is_url(path):
        return path
    if not Path(path).is_dir():
        files = [Path(path), *data_files(Path(path))] if Path(path).is_file() else []
        return " ".join(file_sha256(file) for file in files)
    digest = hashlib.sha256()
    for file in sorted(file for file in Path(path).rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(path)} {file_sha256(file)}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
