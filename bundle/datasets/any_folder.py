"""Any folder of CT volumes, and of folders with DICOM slices."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from bundle.data.ct_formats import CT_SUFFIXES, case_name, labelled_case
from bundle.data.datalist import case_names
from bundle.data.dicom_series import is_dicom, patient_digest
from bundle.datasets.labels import with_label
from bundle.datasets.raw_case import RawCase, RawFile
from bundle.datasets.source_tree import linked_copies, search, unusable
from bundle.errors import InputError

__all__ = ["LAYOUT", "find"]

LAYOUT = "files in NIfTI, MetaImage or NRRD format, or folders of DICOM slices"


def find(source: Path) -> list[RawCase]:
    """One case per volume and per folder of DICOM slices.

    X_labels, X_label or X_seg beside X is the label of X. Cases are named by their file or folder, or, where two of
    different folders share a name, by the path from the source. Patients are the cases themselves, and of DICOM series
    a digest of the PatientID.
    """
    tree = search(source)
    found: list[tuple[RawFile, list[RawFile]]] = []
    for folder, files in tree.folders:
        volumes = [path for path in files if path.name.lower().endswith(CT_SUFFIXES)]
        stems = {case_name(path) for path in volumes}
        labels: dict[str, list[RawFile]] = {}
        for path in volumes:
            case = labelled_case(case_name(path))
            if case in stems:
                labels.setdefault(case, []).append(RawFile(path))
        is_label = {label.path for each in labels.values() for label in each}
        found += [(RawFile(path), labels.get(case_name(path), [])) for path in volumes if path not in is_label]
        slices = [path for path in files if is_dicom(path)]
        if any(path.name.lower().endswith(".dcm") or _can_be_opened(path) for path in slices):
            found.append((RawFile(folder), []))
        else:  # by nothing but the lack of a suffix
            problem = "may be a DICOM slice but cannot be read."
            tree.problems += [unusable(path, InputError(path, problem, "Correct its permissions.")) for path in slices]
    copies = linked_copies(image for image, _ in found)
    found = [(image, labels) for image, labels in found if image not in copies]
    # Only the source itself has no path from the source.
    names = [name or source.name for name in case_names([str(image.path) for image, _ in found], source)]
    cases = [
        with_label(_with_patient(RawCase(name, name, image)), labels, needed=False)
        for name, (image, labels) in zip(names, found)
    ]
    return cases + tree.problems


def _can_be_opened(path: Path) -> bool:
    try:
        with open(path, "rb"):
            return True
    except OSError:
        return False


def _with_patient(case: RawCase) -> RawCase:
    if not os.path.isdir(case.image.path):
        return case
    try:
        return replace(case, patient=patient_digest(case.image.path) or case.name)
    except InputError as problem:
        return replace(case, problem=problem)
