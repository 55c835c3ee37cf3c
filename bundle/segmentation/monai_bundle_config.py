"""What is changed in a bundle's inference configuration: what a user replaces, and what must be another way here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from bundle.errors import InputError
from bundle.json_files import parse_json
from bundle.segmentation.monai_bundle_files import BundleFiles

__all__ = ["InferenceConfig", "NoSaver", "open_config", "read_overrides"]

_OPTION = "segmenter_options.overrides"
_ENTRIES = ("dataset", "dataloader", "evaluator")
_RUNS = ("run", "evaluating")  # newer bundles, older ones
_SAVERS = ("SaveImage", "SaveImaged", "SegmentationSaver")
_LOADER = "CheckpointLoader"
_DEVICE = "Use segmenter_options.device."
_INSTEAD = {
    # id: what to do instead of replacing it
    "bundle_root": "Use segmenter_options.folder.",
    "dataset#data": "It is given the volumes one by one: leave it out.",
    "device": _DEVICE,
    "evaluator#amp": f"Mixed precision needs a GPU. {_DEVICE}",
    "map_location": _DEVICE,
}


@dataclass(frozen=True)
class InferenceConfig:
    """A bundle's inference configuration as it is run.

    Args:
        changes: entries that replace its own, by id.
        run_id: id of what runs it.
        loaders: ids of what loads weights.
        weights: files of the weights.
    """

    changes: Mapping[str, Any]
    run_id: str
    loaders: tuple[str, ...]
    weights: tuple[Path, ...]


class NoSaver:
    """Stands where a configuration would save its output, as a transform or as a handler."""

    def __call__(self, data: Any) -> Any:
        """Gives a transform's input back."""
        return data

    def attach(self, engine: Any) -> None:
        """Adds nothing to an engine."""


def read_overrides(given: str | Mapping[str, Any] | None) -> dict[str, Any]:
    """Entries to replace by their ids.

    Args:
        given: JSON text, or a mapping of plain values.

    Raises:
        InputError: when it is no mapping, or holds objects that another configuration made of its entries.
    """
    example = """Give JSON text, as '{"inferer#overlap": 0.5}'."""
    if isinstance(given, str):
        given = parse_json(given, _OPTION, example)
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise InputError(_OPTION, f"is {given!r}.", example)
    for key, value in given.items():
        made = _object_in(value)
        if made is not None:
            raise InputError(f"{_OPTION} {key}", f"holds a {type(made).__name__}, no plain value.", example)
    return {key.replace("::", "#"): value for key, value in given.items()}


def open_config(files: BundleFiles, given: Mapping[str, Any], device: torch.device) -> InferenceConfig:
    """Reads a bundle's inference configuration.

    Args:
        files: the bundle.
        given: entries to replace, by id.
        device: where the network runs.

    Raises:
        InputError: when an id is none of the configuration's or must stay, an entry that a run needs is missing, or
            the weights are.
    """
    parser = ConfigParser()
    parser.read_config(str(files.config))
    for key in given:
        _check_id(parser.get(), key, files.config)
    parser.update(dict(given))
    config = parser.get()
    run_id = _check_entries(config, files.config)
    fixed = _fixed(config, files.folder, device)
    for key in given:
        held = next((name for name in fixed if key == name or key.startswith(f"{name}#")), None)
        if held is not None:
            remedy = _INSTEAD.get(held) or _INSTEAD.get(held.rsplit("#", 1)[-1], "Leave it out.")
            raise InputError(f"{_OPTION} {key}", "cannot be replaced.", remedy)
    parser.update(fixed)
    chosen = any(key in ("inferer", "inferer#device") for key in given)
    if not chosen and "device" in _entry(config, "inferer") and _is_cuda(parser.get_parsed_content("inferer#device")):
        fixed["inferer#device"] = fixed["device"]  # on the CPU if the bundle says so, to save the GPU's memory
    loaders = tuple(name for name, item in _components(config) if _class_name(item) == _LOADER)
    weights = [Path(parser.get_parsed_content(f"{name}#load_path")) for name in loaders]
    weights = weights or [files.folder / "models" / "model.pt"]
    for path in weights:
        if not path.is_file():
            raise InputError(path, "is missing, so the bundle has no weights.", files.download + ".")
    return InferenceConfig({**given, **fixed}, run_id, loaders, tuple(weights))


def _fixed(config: dict[str, Any], folder: Path, device: torch.device) -> dict[str, Any]:
    """What is replaced in every configuration, so that it neither saves nor starts processes, on any machine."""
    place = f"$torch.device('{device}')"
    fixed: dict[str, Any] = {
        "bundle_root": str(folder),
        "device": place,
        "dataset#data": [],
        "dataloader#num_workers": 0,
    }
    present = {"dataloader#persistent_workers": False}
    if device.type == "cpu":
        present["evaluator#amp"] = False
    fixed |= {key: value for key, value in present.items() if key.split("#")[1] in _entry(config, key)}
    for name, item in _components(config):
        if _class_name(item) in _SAVERS:
            fixed[name] = {"_target_": f"{__name__}.{NoSaver.__name__}"}
        elif _class_name(item) == _LOADER:  # or weights that were saved on a GPU want one
            fixed[f"{name}#map_location"] = place
    return fixed


def _check_entries(config: dict[str, Any], source: Path) -> str:
    """Refuses a configuration without what is replaced and read; returns the id of what runs it."""
    missing = [name for name in _ENTRIES if not isinstance(config.get(name), dict)]
    run_id = next((name for name in _RUNS if name in config), None)
    if missing or run_id is None:
        raise InputError(
            source,
            f"has no entry {', '.join(missing or _RUNS[:1])}.",
            "Choose a bundle whose inference configuration has the zoo's usual entries.",
        )
    return run_id


def _check_id(config: Any, key: str, source: Path) -> None:
    """Refuses an id that leads nowhere, which would replace nothing."""
    parts, found = key.split("#"), config
    for number, part in enumerate(parts):
        known = dict(enumerate(found)) if isinstance(found, list) else found if isinstance(found, dict) else {}
        known = {name: value for name, value in known.items() if name != "_meta_"}  # MONAI's own
        place = int(part) if isinstance(found, list) and part.isdigit() else part
        if place not in known:
            where = "#".join(parts[:number])
            raise InputError(
                f"{_OPTION} {key}",
                f"leads to nothing: {source} has no {part!r}{f' in {where}' if where else ''}.",
                f"It has {', '.join(map(str, known)) or 'no entries there'}; to add one, replace the whole entry.",
            )
        found = known[place]


def _components(config: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Ids and contents of everything in a configuration that is made of a class."""
    parts = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    if isinstance(config, dict) and "_target_" in config:
        yield name, config
    for key, part in parts:
        yield from _components(part, f"{name}#{key}" if name else str(key))


def _class_name(component: dict[str, Any]) -> str:
    """Name of a component's class, without its modules."""
    return str(component["_target_"]).rsplit(".", 1)[-1]


def _entry(config: dict[str, Any], key: str) -> dict[str, Any]:
    """The top-level entry that an id leads into; empty where there is none."""
    found = config.get(key.split("#")[0])
    return found if isinstance(found, dict) else {}


def _is_cuda(device: Any) -> bool:
    return device is not None and torch.device(device).type == "cuda"


def _object_in(value: Any) -> Any:
    """The first object in a value that JSON could not hold; None if there is none."""
    if isinstance(value, Mapping):
        parts = [*value.values(), *(key for key in value if not isinstance(key, str))]
        return next((made for part in parts if (made := _object_in(part)) is not None), None)
    if isinstance(value, (list, tuple)):
        return next((made for part in value if (made := _object_in(part)) is not None), None)
    return None if value is None or type(value) in (bool, int, float, str) else value
