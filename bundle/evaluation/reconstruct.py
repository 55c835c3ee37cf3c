"""Reconstructing what is to be evaluated, by the bundle's own evaluation; what is there already stays."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import bundle
from bundle.checksums import file_sha256
from bundle.errors import InputError, told_changes
from bundle.evaluation.labels import label_source
from bundle.evaluation.listing import measured_quality
from bundle.evaluation.perturbations import Perturbation
from bundle.evaluation.reconstruction import Reconstruction
from bundle.handlers.reconstruction_saver import truth_path, volume_path
from bundle.json_files import read_json_object, write_json

__all__ = ["reconstruct_all", "scan_of"]

_SETTINGS = "settings.json"
_NOT_DECIDING = ("output_dir", "overwrite", "view_counts", "section", "imports", "device", "num_workers", "progress")


def scan_of(configs: Sequence[str], changes: Mapping[str, Any]) -> Any:
    """The scan of an evaluation's configuration."""
    return _parse(configs, changes).get_parsed_content("scan")


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
        overwrite: throw away what other settings made.

    Returns:
        Every case with every number of views and every method.

    Raises:
        InputError: when the folder holds what other settings made.
    """
    from monai.bundle import ConfigWorkflow

    changed = {**changes, **perturbation.changes, "output_dir": str(output_dir), "overwrite": True}
    parser = _parse(configs, changed)
    _check_settings(_deciding(parser), output_dir, overwrite)
    items = parser.get_parsed_content("validate#dataset#data")
    own = parser["method"]
    compared = {**(parser.get("methods") or {}), **(parser.get("refinements") or {})}
    methods = [own, *(name for name, method in compared.items() if method is not None)]

    def volume(item: Mapping[str, Any], method: str) -> Path:
        return volume_path(output_dir, item["case"], item["num_sparse"], "" if method == own else method)

    def is_there(item: Mapping[str, Any]) -> bool:
        files = [truth_path(output_dir, item["case"]), *(volume(item, method) for method in methods)]
        return all(file.is_file() for file in files)

    pending = [item for item in items if not is_there(item)]
    if pending:
        logging.getLogger(__name__).info(
            "reconstructing %d of %d scans: %s", len(pending), len(items), perturbation.folder
        )
        workflow = ConfigWorkflow(
            config_file=list(configs),
            run_id="evaluating",
            logging_file=False,
            **changed,
            **{"validate#dataset#data": pending},
        )
        workflow.initialize()
        workflow.run()
        workflow.finalize()
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
        for method in methods
    ]


def _parse(configs: Sequence[str], changes: Mapping[str, Any]) -> Any:
    from monai.bundle import ConfigParser

    for file in configs:
        if not Path(file).is_file():
            raise InputError(f"configs {file}", "does not exist.", "Check the path.")
    parser = ConfigParser()
    parser.read_config(list(configs))
    parser.update(dict(changes))
    return parser


def _deciding(parser: Any) -> dict[str, str]:
    """The settings that volumes depend on, with the checksum of the weights."""
    content = {key: value for key, value in parser.get().items() if key not in _NOT_DECIDING}
    settings = {key: json.dumps(value, sort_keys=True, default=str) for key, value in content.items()}
    checkpoint = Path(parser.get_parsed_content("checkpoint"))
    weights = file_sha256(checkpoint) if checkpoint.is_file() else ""
    return {**settings, "weights": weights, "version": bundle.__version__}


def _check_settings(settings: dict[str, str], folder: Path, overwrite: bool) -> None:
    """Refuses, or throws away, what other settings made."""
    path = folder / _SETTINGS
    earlier = read_json_object(path)
    if earlier == settings:
        return
    if earlier is not None:
        if not overwrite:
            raise InputError(
                folder,
                f"holds reconstructions with other settings: {told_changes(earlier, settings)}.",
                "Choose another output_dir, or set overwrite to true.",
            )
        shutil.rmtree(folder)
    elif folder.is_dir() and any(folder.iterdir()):
        raise InputError(folder, "holds files that no evaluation made.", "Choose another output_dir.")
    write_json(settings, path)
