"""All hostile inputs, in an order that is the same in every run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.hostile.archives import projection_cases, weight_cases, zip_cases
from tests.hostile.arguments import argument_cases
from tests.hostile.case import EITHER, REFUSED, SAME, Case
from tests.hostile.ct_headers import metaimage_cases, nifti_cases, nrrd_cases
from tests.hostile.damage import damaged
from tests.hostile.dicom_edits import dicom_cases
from tests.hostile.json_edits import hard_to_parse, json_edited
from tests.hostile.texts import csv_cases, xml_cases, yaml_cases

__all__ = ["all_cases"]

FILES = [  # reader, file, flips, what may become of a changed byte, text
    ("ct.nii", "ct.nii", 16, EITHER, False),
    ("ct.nii.gz", "ct.nii.gz", 16, SAME, False),
    ("ct.mha", "ct.mha", 8, EITHER, False),
    ("ctz.mha", "ctz.mha", 8, EITHER, False),
    ("ct.mhd", "ct.raw", 2, EITHER, False),
    ("ct.nrrd", "ct.nrrd", 8, EITHER, False),
    ("ctz.nrrd", "ctz.nrrd", 8, EITHER, False),
    ("scan.npz", "scan.npz", 16, SAME, False),
    ("stack.mha", "stack.mha", 8, EITHER, False),
    ("geometry.xml", "geometry.xml", 8, EITHER, True),
    ("geometry.json", "geometry.json", 8, EITHER, True),
    ("geometry.yaml", "geometry.yaml", 8, EITHER, True),
    ("model.pt", "model.pt", 16, SAME, False),
    ("published.pth", "published.pth", 8, SAME, False),
    ("published.zip", "published.zip", 8, SAME, False),
    ("set", "set/cases/a/volume.npy", 4, REFUSED, False),
    ("set", "set/cases/b/projections.npy", 4, REFUSED, False),
    ("volumes.csv", "volume.nii.gz", 6, SAME, False),
]


def all_cases(sound: Path) -> Iterator[Case]:
    """Gives the cases.

    Args:
        sound: folder of sound input, which some cases are made from.
    """
    for reader, file, flips, right, text in FILES:
        yield from damaged(reader, file, flips, right, text)
    for cases in (nifti_cases, metaimage_cases, nrrd_cases, dicom_cases, xml_cases, yaml_cases, csv_cases):
        yield from cases()
    yield from projection_cases(sound)
    yield from weight_cases()
    yield from zip_cases()
    for reader, file, most in (
        ("geometry.json", "geometry.json", 40),
        ("model.pt", "model.json", 60),
        ("set", "set/dataset.json", 20),
        ("set", "set/cases/a/case.json", 40),
        ("training", "set/dataset.json", 12),
        ("split.json", "split.json", 6),
    ):
        yield from hard_to_parse(reader, file)
        yield from json_edited(reader, file, most)
    yield from argument_cases()
