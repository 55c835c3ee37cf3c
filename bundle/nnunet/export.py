"""Writing a prepared set with labels as an nnU-Net raw data set."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

import bundle
from bundle.data.ct_volume import write_hu
from bundle.data.datalist import LISTING, is_prepared, split_checksum
from bundle.data.nifti import write_nifti
from bundle.errors import InputError
from bundle.inspection.listing import list_cases
from bundle.json_files import write_json
from bundle.nnunet.label_classes import LabelClasses
from bundle.nnunet.raw_folder import PROVENANCE, raw_folder, written_as_a_whole
from bundle.physics.attenuation import unit_to_hu
from bundle.prepared.case import DESCRIPTION, PreparedCase

__all__ = ["ORIENTATION", "Exported", "export_dataset"]

ORIENTATION = "LPS"
"""How the arrays of prepared sets run: left, back, head."""
SPLITS = "splits_final.json"
_PARTS = {"training": "Tr", "validation": "Tr", "test": "Ts"}
_OWN_FOLDS = 5  # nnU-Net's cross-validation wants as many cases
_SUFFIX = ".nii.gz"
_WORKERS = 4  # each holds a volume


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        folder: the data set's folder.
        counts: number of cases by section.
        classes: number of each structure's class.
        left_out: cases that could not be prepared.
    """

    folder: Path
    counts: Mapping[str, int]
    classes: Mapping[str, int]
    left_out: Sequence[str]

    def __str__(self) -> str:
        told = ", ".join(f"{count} {section}" for section, count in self.counts.items())
        classes = ", ".join(f"{number} {name}" for name, number in self.classes.items())
        lines = [f"wrote {self.folder}: {told} cases; classes: {classes}"]
        trained = self.counts.get("training", 0) + self.counts.get("validation", 0)
        if trained < _OWN_FOLDS and not (self.folder / SPLITS).is_file():
            lines.append(
                f"fewer than {_OWN_FOLDS} cases to train on and no prepared split: nnU-Net can make no folds of them; "
                "train with fold all instead of 0"
            )
        if self.left_out:
            lines.append(f"left out, since they were not prepared: {', '.join(self.left_out)}")
        return "\n".join(lines)


def export_dataset(
    source: Path,
    output: Path,
    dataset_id: int,
    name: str,
    structures: str | Mapping[str, Any] | None = None,
    overwrite: bool = False,
) -> Exported:
    """Writes the data set DatasetXXX_Name; a run that was killed is continued.

    Args:
        source: folder of the prepared set.
        output: the folder that nnUNet_raw names.
        dataset_id: 1 to 999.
        name: of the data set.
        structures: values in the label maps by the name of the structure; every value a class if None.
        overwrite: replace an earlier export.

    Raises:
        InputError: when the source is no prepared set or has cases without labels, labels or affine of a case do not
            fit its volume, no case has one of the structures, or the output cannot or must not be written.
    """
    source, output = source.expanduser(), output.expanduser()
    folder = raw_folder(output, dataset_id, name, overwrite)
    chosen = None if structures is None else LabelClasses.named(structures)
    cases, left_out = _open_cases(source)
    found = {int(value) for members in cases.values() for case in members for value in np.unique(_labels(case))}
    classes = chosen or LabelClasses.of_values(found)
    classes.check_found(found)
    counts = {section: len(members) for section, members in cases.items()}
    dataset = {
        "channel_names": {"0": "CT"},
        "labels": classes.dataset_labels,
        "numTraining": sum(counts.get(section, 0) for section, part in _PARTS.items() if part == "Tr"),
        "file_ending": _SUFFIX,
        "orientation": ORIENTATION,
        PROVENANCE: {
            "written_by": f"deepsparse-bundle {bundle.__version__}",
            "source": source.resolve().name,
            "split_checksum": split_checksum(source),
            "cases_sha256": _cases_checksum(cases),
            "cases": counts,
            "values": {structure: list(values) for structure, values in classes.values.items()},
        },
    }
    with written_as_a_whole(folder, dataset) as partial:
        jobs = [(case, _PARTS[section]) for section, members in cases.items() for case in members]
        with ThreadPoolExecutor(min(_WORKERS, os.cpu_count() or 1)) as pool:
            list(pool.map(lambda job: _write_case(job[0], job[1], partial, classes), jobs))
        names = {section: [case.name for case in cases.get(section, [])] for section in _PARTS}
        if names["training"] and names["validation"]:
            write_json([{"train": names["training"], "val": names["validation"]}], partial / SPLITS)
    numbers = {structure: number for structure, number in classes.dataset_labels.items() if number}
    return Exported(folder, counts, numbers, left_out)


def _open_cases(source: Path) -> tuple[dict[str, list[PreparedCase]], list[str]]:
    """Cases by section, checked, and names of those that were not prepared."""
    if not source.is_dir() or not is_prepared(source):
        raise InputError(source, "is no prepared data set.", "Give the output of python -m bundle prepare.")
    cases: dict[str, list[PreparedCase]] = {}
    left_out = []
    names: set[str] = set()
    for listed in list_cases(source):
        if listed.problem:
            left_out.append(listed.name)
            continue
        if listed.section not in _PARTS:
            raise InputError(
                source / LISTING, f"has the section {listed.section!r}.", f"Use {', '.join(_PARTS)} alone."
            )
        case = PreparedCase.open(listed.folder)
        if case.name in names:
            raise InputError(source / LISTING, f"has two cases named {case.name}.", "List every case once.")
        names.add(case.name)
        _check_case(case)
        cases.setdefault(listed.section, []).append(case)
    if not any(_PARTS[section] == "Tr" for section in cases):
        raise InputError(source / LISTING, "has no case to train on.", "Give a set with training cases.")
    return cases, left_out


def _check_case(case: PreparedCase) -> None:
    """Refuses a case without labels, or whose grid nnU-Net would see in another way than it is."""
    again = "Prepare the case again."
    if case.record["labels"] is None:
        raise InputError(f"case {case.name}", "has no labels.", "Prepare the set with --keep_labels true.")
    shape = tuple(case.record["labels"]["shape"])
    if shape != case.volume.shape:
        raise InputError(f"case {case.name}", f"has labels {shape} for a volume {case.volume.shape}.", again)
    axes = case.affine_ras[:3, :3]
    spacing = np.linalg.norm(axes, axis=0)
    if not np.allclose(spacing, case.voxel_mm, rtol=1e-4):
        raise InputError(f"case {case.name}", f"has voxels {case.voxel_mm} mm, its affine {spacing.tolist()}.", again)
    if not np.allclose((axes / spacing).T @ (axes / spacing), np.eye(3), atol=1e-4):
        raise InputError(f"case {case.name}", "has a sheared affine, which nnU-Net's reader refuses.", again)
    runs = "".join(nib.orientations.aff2axcodes(case.affine_ras))
    if runs != ORIENTATION:
        raise InputError(f"case {case.name}", f"has an affine that runs {runs}, not {ORIENTATION}.", again)


def _labels(case: PreparedCase) -> np.ndarray:
    labels = PreparedCase(case.folder, case.record).labels  # anew, so that the case does not keep it
    if labels is None:
        raise InputError(f"case {case.name}", "has no labels.", "Prepare the data set with --keep_labels true.")
    if labels.dtype.kind not in "iu":
        raise InputError(f"case {case.name}", f"has labels of type {labels.dtype}.", "Prepare it with whole numbers.")
    return labels


def _cases_checksum(cases: Mapping[str, Sequence[PreparedCase]]) -> str:
    """SHA-256 of what the cases' descriptions say, so that an export of other contents is not continued."""
    digest = hashlib.sha256()
    for members in cases.values():
        for case in members:
            digest.update(Path(case.folder, DESCRIPTION).read_bytes())
    return digest.hexdigest()


def _write_case(case: PreparedCase, part: str, folder: Path, classes: LabelClasses) -> None:
    """Writes image and labels, these last: where they are, the case is finished."""
    label_file = folder / f"labels{part}" / f"{case.name}{_SUFFIX}"
    if label_file.is_file():
        return
    image_file = folder / f"images{part}" / f"{case.name}_0000{_SUFFIX}"
    image_file.parent.mkdir(parents=True, exist_ok=True)
    write_hu(unit_to_hu(case.volume.read().numpy(), case.hu_window), case.affine_ras, image_file)
    write_nifti(classes.apply(_labels(case)), case.affine_ras, label_file)
