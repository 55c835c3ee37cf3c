"""Reconstructing what is to be evaluated, by the bundle's own evaluation; what is there already stays."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser, ConfigWorkflow

from bundle.errors import InputError, told_changes
from bundle.evaluation.labels import label_source
from bundle.evaluation.listing import measured_quality
from bundle.evaluation.origin import case_origin, deciding_settings
from bundle.evaluation.perturbations import Perturbation
from bundle.evaluation.reconstruction import Reconstruction
from bundle.handlers.reconstruction_saver import truth_path, volume_path
from bundle.json_files import read_json_object, write_json

__all__ = ["parse_evaluation", "planned_methods", "reconstruct_all"]

_SETTINGS, _ORIGIN = "settings.json", "origin.json"
_DISCARDED = ".discarded"


def parse_evaluation(configs: Sequence[str], changes: Mapping[str, Any]) -> ConfigParser:
    """Reads an evaluation's configuration.

    Args:
        configs: configuration files, such as train.json, evaluate.json and overlays.
        changes: settings that differ.

    Raises:
        InputError: when a file is missing, or a setting is none of the configuration's.
    """
    for file in configs:
        if not Path(file).is_file():
            raise InputError(f"configs {file}", "does not exist.", "Check the path.")
    parser = ConfigParser()
    parser.read_config(list(configs))
    unknown = [name for name in changes if name.split("#")[0] not in parser.get()]
    if unknown:
        raise InputError(
            f"changes.{unknown[0]}", "is no setting of the evaluation.", "See configs/train.json and evaluate.json."
        )
    parser.update(dict(changes))
    return parser


def planned_methods(parser: ConfigParser) -> list[str]:
    """Names of what an evaluation's configuration reconstructs by, the network's own first.

    Raises:
        InputError: when two have one name.
    """
    compared = {**(parser.get("methods") or {}), **(parser.get("refinements") or {})}
    if parser["method"] in compared:
        raise InputError(
            "changes.method", f"is {parser['method']!r}, a compared method's name.", "Give the network another."
        )
    return [parser["method"], *(name for name, method in compared.items() if method is not None)]


def reconstruct_all(
    configs: Sequence[str],
    changes: Mapping[str, Any],
    output_dir: Path,
    perturbation: Perturbation,
    overwrite: bool = False,
) -> list[Reconstruction]:
    """Reconstructs the cases of an evaluation's configuration that are not reconstructed yet.

    Args:
        configs: configuration files, such as train.json, evaluate.json and overlays.
        changes: settings that differ.
        output_dir: folder for the volumes, metrics.csv and residuals.csv; it may hold those of an earlier run with the
            same settings.
        perturbation: what is wrong with the scan.
        overwrite: throw away what other settings, or other images, made.

    Returns:
        Every case with every number of views and every method.

    Raises:
        InputError: when the folder holds what other settings, or other images of the same name, made.
    """
    changed = {**changes, **perturbation.changes, "output_dir": str(output_dir), "overwrite": True}
    parser = parse_evaluation(configs, changed)
    _check_settings(deciding_settings(parser), output_dir, overwrite)
    items = parser.get_parsed_content("validate#dataset#data")
    for item in {item["case"]: item for item in items}.values():
        _check_origin(item, output_dir, overwrite)
    own, *compared = planned_methods(parser)
    files = {own: "", **{name: name for name in compared}}

    def volume(item: Mapping[str, Any], method: str) -> Path:
        return volume_path(output_dir, item["case"], item["num_sparse"], files[method])

    def is_there(item: Mapping[str, Any]) -> bool:
        wanted = [truth_path(output_dir, item["case"]), *(volume(item, method) for method in files)]
        return all(file.is_file() for file in wanted)

    numbers = parser.get_parsed_content("only_scans")
    numbers = list(range(len(items))) if numbers is None else [int(number) for number in numbers]
    pending = [number for number, item in zip(numbers, items) if not is_there(item)]
    if pending:
        _run(configs, changed, pending, f"{len(pending)} of {len(items)} scans: {perturbation.folder}")
    measured = measured_quality(output_dir)
    return [
        Reconstruction(
            item["case"],
            method,
            int(item["num_sparse"]),
            volume(item, method),
            truth_path(output_dir, item["case"]),
            label_source(item),
            perturbation,
            measured.get((item["case"], method, str(item["num_sparse"])), {}),
            is_given=False,
        )
        for item in items
        for method in files
    ]


def _run(configs: Sequence[str], changes: Mapping[str, Any], pending: Sequence[int], told: str) -> None:
    """Runs the evaluation for the scans of the given numbers: names of files must not get into a configuration."""
    logging.getLogger(__name__).info("reconstructing %s", told)
    only = {**changes, "only_scans": list(pending)}
    workflow = ConfigWorkflow(config_file=list(configs), run_id="evaluating", logging_file=False, **only)
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def _check_settings(settings: dict[str, str], folder: Path, overwrite: bool) -> None:
    """Refuses, or throws away, what other settings made."""
    path = folder / _SETTINGS
    earlier = read_json_object(path)
    _discard(folder / _DISCARDED)
    if earlier == settings:
        return
    if earlier is not None:
        if _has_volumes(folder) and not overwrite:
            raise InputError(
                folder,
                f"holds reconstructions with other settings: {told_changes(earlier, settings)}.",
                "Choose another output_dir, or set overwrite to true.",
            )
        for member in folder.iterdir():  # the settings last, so that a killed run can be repeated
            if member != path:
                _discard(member)
    elif folder.is_dir() and any(folder.iterdir()):
        raise InputError(folder, "holds files that no evaluation made.", "Choose another output_dir.")
    write_json(settings, path)


def _check_origin(item: Mapping[str, Any], folder: Path, overwrite: bool) -> None:
    """Refuses, or throws away, what was made of another image of the same name."""
    case, origin = folder / item["case"], case_origin(item)
    earlier = read_json_object(case / _ORIGIN)
    if earlier == origin:
        return
    if case.is_dir() and any(case.iterdir()):
        if _has_volumes(case) and not overwrite:
            raise InputError(
                case,
                f"was reconstructed from another image than {item['image']}.",
                "Choose another output_dir, or set overwrite to true.",
            )
        _discard(case)
    write_json(origin, case / _ORIGIN)


def _has_volumes(folder: Path) -> bool:
    """Whether anything was reconstructed; a run that failed before leaves notes alone."""
    return any(folder.rglob("*.nii*"))


def _discard(path: Path) -> None:
    """Deletes a file, or a folder under another name, so that a killed run leaves no half of it."""
    if not path.is_dir():
        path.unlink(missing_ok=True)
        return
    aside = path if path.name == _DISCARDED else path.with_name(_DISCARDED)
    if aside != path:
        path.replace(aside)
    shutil.rmtree(aside)
