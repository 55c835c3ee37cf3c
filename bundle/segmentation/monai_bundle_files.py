"""A segmentation bundle's folder: which of its files there must be, and what its metadata say of the labels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

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
        listed = {
            **self.metadata.get("optional_packages_version", {}),
            **self.metadata.get("required_packages_version", {}),
        }
        return " ".join(f"{name}=={number}" for name, number in listed.items()) or "none listed"


def find_bundle(folder: str) -> BundleFiles:
    """Finds a bundle's configuration and reads its metadata; none of its code runs.

    Args:
        folder: the bundle's folder, as it lies in MONAI's model zoo.

    Raises:
        InputError: when the folder is missing or is no inference bundle.
    """
    root = Path(folder).absolute()
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


def label_names(files: BundleFiles, given: Mapping[Any, str] | None) -> dict[int, str]:
    """Names of the labels.

    Args:
        files: the bundle, whose metadata name the channels of its output.
        given: names by label to use instead.

    Returns:
        Names in words by label, the background left out.

    Raises:
        InputError: when the bundle takes more than one image, or does not say what its labels are.
    """
    source = files.metadata_path
    remedy = "Name them by segmenter_options.structures, as {1: spleen}."
    formats = files.metadata.get("network_data_format", {})
    images = list(formats.get("inputs", {}).values())
    if len(images) != 1 or images[0].get("num_channels", 1) != 1:
        raise InputError(source, "describes a network that takes more than one CT image.", "Choose another bundle.")
    if given is None:
        given = formats.get("outputs", {}).get("pred", {}).get("channel_def", {})
        if "background" not in str(given.get("0", "background")).lower():
            raise InputError(source, f"has the output {given['0']!r} where the background should be.", remedy)
    try:
        names = {int(label): str(name).replace("_", " ") for label, name in given.items()}
    except ValueError as error:
        raise InputError(source, f"has a label that is no whole number ({error}).", remedy) from error
    names = {label: name for label, name in names.items() if label != 0}
    if not names or min(names) < 0 or len(set(names.values())) < len(names):
        raise InputError(source, "does not name each label of the output.", remedy)
    return names
