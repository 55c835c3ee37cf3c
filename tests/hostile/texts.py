"""Geometry files, splits and lists whose text contradicts itself or is hard to parse."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tests.hostile.case import EITHER, REFUSED, Case

__all__ = ["csv_cases", "xml_cases", "yaml_cases"]

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij")
)
YAML = {
    "aliases that grow": ("\\A", BOMB, REFUSED),
    "a Python object": ("mode: cone", "mode: !!python/object/apply:os.getcwd []", REFUSED),
    "octal": ("DSO: 800", "DSO: 01440", REFUSED),
    "sexagesimal": ("DSO: 800", "DSO: 13:20", REFUSED),
    "an infinite distance": ("DSO: 800", "DSO: .inf", REFUSED),
    "a distance of no number": ("DSO: 800", "DSO: .nan", REFUSED),
    "a negative distance": ("DSO: 800", "DSO: -800", REFUSED),
    "the source in the detector": ("DSO: 800", "DSO: 1200", REFUSED),
    "a distance of a kilometre": ("DSO: 800", "DSO: 800000", REFUSED),
    "a distance as text": ("DSO: 800", "DSO: far", REFUSED),
    "a distance twice": ("DSO: 800", "DSO: 800\nDSO: 700", REFUSED),
    "a distance of 6,000 digits": ("DSO: 800", "DSO: " + "9" * 6000, REFUSED),
    "no distance": ("DSO: 800\n", "", REFUSED),
    "no views": ("numTrain: 8", "numTrain: 0", REFUSED),
    "negative views": ("numTrain: 8", "numTrain: -8", REFUSED),
    "a billion views": ("numTrain: 8", "numTrain: 1000000000", REFUSED),
    "more views than images": ("numTrain: 8", "numTrain: 9", REFUSED),
    "another detector": (r"nDetector: \[24", "nDetector: [25", REFUSED),
    "a detector of nothing": (r"nDetector: \[24,24\]", "nDetector: []", REFUSED),
    "pixels without size": (r"dDetector: \[25.6", "dDetector: [0", REFUSED),
    "a billion voxels a side": (r"nVoxel: \[24", "nVoxel: [1000000000", REFUSED),
    "voxels without size": (r"dVoxel: \[17.0", "dVoxel: [0.0", REFUSED),
    "voxels of nanometres": (r"dVoxel: \[17.0", "dVoxel: [0.000001", REFUSED),
    "another mode": ("mode: cone", "mode: parallel", REFUSED),
    "an unknown key": ("mode: cone", "mode: cone\nwobble: 7", EITHER),
    "two documents": ("mode: cone", "mode: cone\n---\nmode: cone", REFUSED),
    "nested 10,000 deep": ("mode: cone", "x: " + "[" * 10_000 + "]" * 10_000, REFUSED),
    "tabs": ("DSO: 800", "DSO:\t800\n\tx: 1", REFUSED),
}
XML = {
    "entities that grow": (
        r"<!DOCTYPE[^>]*>|\A(<\?xml[^>]*\?>)?",
        '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        REFUSED,
    ),
    "a file as an entity": (
        r"<!DOCTYPE[^>]*>|\A(<\?xml[^>]*\?>)?",
        '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>',
        REFUSED,
    ),
    "a distance of no number": (r"(<SourceToIsocenterDistance>)[^<]*", r"\1nan", REFUSED),
    "an infinite distance": (r"(<SourceToIsocenterDistance>)[^<]*", r"\g<1>1e400", REFUSED),
    "no distance": (r"(<SourceToIsocenterDistance>)[^<]*", r"\g<1>0", REFUSED),
    "a negative distance": (r"(<SourceToDetectorDistance>)[^<]*", r"\1-1200", REFUSED),
    "the source in the detector": (r"(<SourceToDetectorDistance>)[^<]*", r"\g<1>10", REFUSED),
    "a distance as text": (r"(<SourceToDetectorDistance>)[^<]*", r"\1far", REFUSED),
    "a distance twice": (r"(<SourceToDetectorDistance>[^<]*</SourceToDetectorDistance>)", r"\1\1", REFUSED),
    "a distance of a kilometre": (r"(<SourceToDetectorDistance>)[^<]*", r"\g<1>1200000", REFUSED),
    "an angle of no number": (r"(<GantryAngle>)[^<]*", r"\1nan", REFUSED),
    "an angle twice": (r"(<GantryAngle>[^<]*</GantryAngle>)", r"\1\1", REFUSED),
    "an unknown element": (r"(<Projection>)", r"\1<Wobble>7</Wobble>", EITHER),
    "one view less": (r"(?s)<Projection>.*?</Projection>", "", REFUSED),
    "one view more": (r"(?s)(<Projection>.*?</Projection>)", r"\1\1", REFUSED),
    "matrix of no number": (r"(<Matrix>\s*)\S+", r"\1nan", REFUSED),
    "nested 10,000 deep": (r"(<Projection>)", r"\1" + "<a>" * 10_000 + "</a>" * 10_000, REFUSED),
    "another root": ("RTKThreeDCircularGeometry", "Geometry", REFUSED),
    "version 99": (r'version="\d+"', 'version="99"', REFUSED),
}
CSV = {
    "a column twice": (r"\A([^\n]*)", r"\1,case", REFUSED),
    "a field of a megabyte": (r"\n([^,\n]*)", "\n" + "x" * 1_000_000, REFUSED),
    "a NUL": (r"\n([^,\n]*)", "\n\\1\0", REFUSED),
    "no columns": (r"\A[^\n]*", "", REFUSED),
    "another column": (r"\Acase", "name", REFUSED),
    "a cell more": (r"\n([^\n]+)", r"\n\1,extra", REFUSED),
    "a cell less": (r"\n([^\n,]+),[^\n]*", r"\n\1", REFUSED),
    "a quote left open": (r"\n([^,\n]*)", '\n"\\1', REFUSED),
    "only its head": (r"(?s)\n.*", "\n", EITHER),
    "semicolons": (",", ";", REFUSED),
}
VOLUMES = {
    "negative views": (",6,", ",-6,", REFUSED),
    "a billion views": (",6,", ",1000000000,", EITHER),
    "views as text": (",6,", ",six,", REFUSED),
    "an absent volume": ("volume.nii.gz", "absent.nii.gz", REFUSED),
    "a folder as volume": (",volume.nii.gz", ",cts", REFUSED),
    "a case that names a folder": ("\na,", "\n../../a,", REFUSED),
    "a row twice": (r"(?s)\n(.*)", r"\n\1\1", REFUSED),
}


def yaml_cases() -> Iterator[Case]:
    """YAML geometries."""
    yield from _edits("geometry.yaml", YAML)


def xml_cases() -> Iterator[Case]:
    """XML geometries, each change at every place where it fits."""
    yield from _edits("geometry.xml", XML)


def csv_cases() -> Iterator[Case]:
    """Lists of patients and of volumes."""
    yield from _edits("patients.csv", CSV)
    yield from _edits("volumes.csv", CSV | VOLUMES)


def _edits(file: str, table: dict) -> Iterator[Case]:
    for name, (pattern, replacement, right) in table.items():

        def edit(folder: Path, pattern=pattern, replacement=replacement) -> None:
            text = (folder / file).read_text()
            changed = re.sub(pattern, replacement, text, count=0 if pattern == "," else 1)
            assert changed != text, f"{file} has nothing like {pattern}"
            (folder / file).write_text(changed)

        yield Case(file, f"{file}: {name}", edit, right)
