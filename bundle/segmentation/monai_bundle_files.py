"""A segmentation bundle's folder: which of its files there must be, and what its metadata say of the labels."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle.checksums import file_sha256
from bundle.errors import InputError
from bundle.json_files import read_json_object

__all__ = ["BundleFiles", "find_bundle", "label_names"]

_CONFIGS = ("inference.json", "inference.yaml", "inference.yml")


class BundleFiles:
    """Paths of a bundle's files, and its metadata.

    Args:
        folder: the bundle's folder.
        config: its inference configuration.
        metadata: content of its metadata.json.
    """

    def __init__(self, folder: Path, config: Path, metadata: dict[str, Any]) -> None:
        self.folder = folder
        self.config = config
        self.metadata_path = config.parent / "metadata.json"
        self.metadata = metadata
        self.name = folder.name

    @property
    def download(self) -> str:
        """How to get the bundle, as an imperative."""
        return (
            f'Download it with: python -m monai.bundle download --name {self.name} --bundle_dir "{self.folder.parent}"'
        )

    @property
    def packages(self) -> str:
        """The packages that the bundle says it needs."""
        listed: dict[str, Any] = {}
        for key in ("optional_packages_version", "required_packages_version"):
            listed |= _mapping(self.metadata.get(key))
        return " ".join(f"{name}=={number}" for name, number in listed.items()) or "none listed"

    def checksum(self) -> str:
        """SHA-256 over the bundle's code, configurations and weights: everything that may change what it gives."""
        found = {path for path in self.folder.rglob("*.py") if path.is_file()}
        for name in ("configs", "models"):
            found |= {path for path in (self.folder / name).rglob("*") if path.is_file()}
        digest = hashlib.sha256()
        for path in sorted(found):
            if "__pycache__" not in path.parts:
                digest.update(f"{path.relative_to(self.folder).as_posix()} {file_sha256(path)}\n".encode())
        return digest.hexdigest()


def find_bundle(folder: str) -> BundleFiles:
    """Finds a bundle's configuration and reads its metadata; none of its code runs.

    Args:
        folder: the bundle's folder, as it lies in MONAI's model zoo.

    Raises:
        InputError: when the folder is missing or is no inference bundle.
    """
    root = Path(folder).expanduser().absolute()
    if not root.is_dir():
        raise InputError(folder, "is no folder.", BundleFiles(root, root, {}).download + ".")
    config = next((root / "configs" / name for name in _CONFIGS if (root / "configs" / name).is_file()), None)
    if config is None:
        raise InputError(
            folder,
            "has no configs/inference.json or configs/inference.yaml, so it is no bundle to segment with.",
            "Give the folder that holds configs, models and docs.",
        )
    metadata = read_json_object(config.parent / "metadata.json")
    if metadata is None:
        raise InputError(config.parent / "metadata.json", "is missing.", BundleFiles(root, config, {}).download + ".")
    return BundleFiles(root, config, metadata)


def label_names(files: BundleFiles, given: Mapping[Any, Any] | None) -> dict[int, str]:
    """Names of the labels.

    Args:
        files: the bundle, whose metadata name the channels of its output.
        given: names by label to use instead.

    Returns:
        Names in words by label, the background left out.

    Raises:
        InputError: when the bundle takes something else than one CT image, or does not say what its labels are.
    """
    source: str | Path = files.metadata_path
    remedy = "Name them by segmenter_options.structures, as {1: spleen}."
    formats = _mapping(files.metadata.get("network_data_format"))
    images = list(_mapping(formats.get("inputs")).values())
    if len(images) != 1 or not isinstance(images[0], Mapping):
        raise InputError(source, "does not describe a network that takes one image.", "Choose another bundle.")
    if images[0].get("num_channels", 1) != 1:
        raise InputError(source, "describes a network that takes more than one CT image.", "Choose another bundle.")
    modality = images[0].get("modality", "CT")
    if "ct" not in str(modality).lower():
        raise InputError(source, f"describes a network for {modality} images.", "Choose a bundle for CT.")
    if given is None:
        given = _mapping(_mapping(_mapping(formats.get("outputs")).get("pred")).get("channel_def"))
        if "background" not in str(given.get("0", "background")).lower():
            raise InputError(source, f"has the output {given['0']!r} where the background should be.", remedy)
    else:
        source = "segmenter_options.structures"
    names: dict[int, str] = {}
    for label, name in given.items():
        if isinstance(label, bool) or not re.fullmatch(r"0|[1-9][0-9]*", str(label)):
            raise InputError(source, f"has the label {label!r}, which is no whole number.", remedy)
        if not isinstance(name, str) or not name.strip() or int(label) in names:
            raise InputError(source, f"does not give label {label} one name.", remedy)
        names[int(label)] = name.replace("_", " ").strip()
    names.pop(0, None)
    if not names or len(set(names.values())) < len(names):
        raise InputError(source, "does not name each label of the output.", remedy)
    return names


def _mapping(value: Any) -> Mapping[str, Any]:
    """A mapping as it is; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}
