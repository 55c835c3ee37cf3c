"""DICOM series whose slices contradict each other, or are no CT."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pydicom

from tests.hostile.case import EITHER, REFUSED, Case

__all__ = ["dicom_cases"]

EVERY = {
    "Rows beyond the data": {"Rows": 65535},
    "Rows below the data": {"Rows": 4},
    "no Rows": {"Rows": 0},
    "slope zero": {"RescaleSlope": "0"},
    "huge slope": {"RescaleSlope": "1e20"},
    "not HU": {"RescaleType": "US"},
    "inverted": {"PhotometricInterpretation": "MONOCHROME1"},
    "localizer": {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]},
    "three samples": {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"},
    "no spacing": {"PixelSpacing": ["0", "0"]},
    "negative spacing": {"PixelSpacing": ["-12", "13"]},
    "spacing of a kilometre": {"PixelSpacing": ["1000000", "1000000"]},
    "rows along columns": {"ImageOrientationPatient": ["1", "0", "0", "1", "0", "0"]},
    "rows oblique to columns": {"ImageOrientationPatient": ["1", "0", "0", "0.6", "0.8", "0"]},
    "no direction": {"ImageOrientationPatient": ["0", "0", "0", "0", "0", "0"]},
    "all in one place": {"ImagePositionPatient": ["0", "0", "0"]},
    "MR": {"Modality": "MR"},
    "3 bits": {"BitsStored": 3, "HighBit": 2},
    "8 bits": {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7},
    "ten frames": {"NumberOfFrames": 10},
    "JPEG that is none": {"TransferSyntaxUID": "1.2.840.10008.1.2.4.70"},
    "an unknown transfer syntax": {"TransferSyntaxUID": "1.2.3.4"},
}
ONE = {
    "another patient": {"PatientID": "other"},
    "another frame of reference": {"FrameOfReferenceUID": "1.2.3"},
    "another series": {"SeriesInstanceUID": "1.2.3"},
    "another size": {"Rows": 9, "PixelData": bytes(9 * 20 * 2)},
    "another direction": {"ImageOrientationPatient": ["0", "1", "0", "0", "0", "1"]},
    "another spacing": {"PixelSpacing": ["3", "3"]},
    "half of its pixels": {"PixelData": bytes(100)},
    "no pixels": {"PixelData": None},
    "no position": {"ImagePositionPatient": None},
    "another photometric": {"PhotometricInterpretation": "MONOCHROME1"},
    "far away": {"ImagePositionPatient": ["0", "0", "1000000"]},
}


LEGAL = ("a slice twice", "a tilted gantry")
"""Copies are left out with a warning, and a tilt is part of the affine."""


def dicom_cases() -> Iterator[Case]:
    """Attributes of all slices or of one, and series with slices too many or too few."""
    for name, values in EVERY.items():
        yield Case("dicom", f"DICOM: {name}", lambda folder, v=values: edit(folder, v, slice(None)))
    for name, values in ONE.items():
        yield Case("dicom", f"DICOM: one slice with {name}", lambda folder, v=values: edit(folder, v, slice(7, 8)))
    texts: dict[str, Callable[[Path], None]] = {
        "slope as text": lambda folder: spoil(folder, "RescaleSlope", b"one "),
        "position as text": lambda folder: spoil(folder, "ImagePositionPatient", b"here\\there\\far"),
        "spacing as text": lambda folder: spoil(folder, "PixelSpacing", b"wide\\thin"),
        "a missing slice": lambda folder: files(folder)[9].unlink(),
        "a slice twice": lambda folder: (folder / "dicom" / "copy.dcm").write_bytes(files(folder)[9].read_bytes()),
        "a torn slice": lambda folder: files(folder)[9].write_bytes(files(folder)[9].read_bytes()[:900]),
        "an empty slice": lambda folder: files(folder)[9].write_bytes(b""),
        "one slice alone": lambda folder: [file.unlink() for file in files(folder)[1:]],
        "a tilted gantry": tilt,
    }
    for name, make in texts.items():
        yield Case("dicom", f"DICOM: {name}", make, EITHER if name in LEGAL else REFUSED)
    yield Case("dicom", "DICOM: a text beside the slices", lambda f: (f / "dicom" / "README").write_text("x"), EITHER)


def files(folder: Path) -> list[Path]:
    """The slices by position."""
    found = (folder / "dicom").glob("*.dcm")
    return sorted(found, key=lambda file: float(pydicom.dcmread(file, stop_before_pixels=True).ImagePositionPatient[2]))


def edit(folder: Path, values: dict, which: slice) -> None:
    """Sets attributes of slices; takes them out if None."""
    for file in files(folder)[which]:
        dataset = pydicom.dcmread(file)
        for name, value in values.items():
            if name == "TransferSyntaxUID":
                dataset.file_meta.TransferSyntaxUID = value
            elif value is None:
                delattr(dataset, name)
            else:
                setattr(dataset, name, value)
        try:
            dataset.save_as(file)
        except Exception:  # pydicom will not write what it cannot read: put the syntax into the bytes
            syntax = values["TransferSyntaxUID"].encode().ljust(20, b"\0")[:20]
            file.write_bytes(file.read_bytes().replace(b"1.2.840.10008.1.2.1\0", syntax))


def spoil(folder: Path, name: str, text: bytes) -> None:
    """Puts text where numbers stand, of the same length, as pydicom would not write it."""
    for file in files(folder):
        dataset = pydicom.dcmread(file)
        stored = dataset[name].value
        old = "\\".join(str(v) for v in (stored if dataset[name].VM > 1 else [stored])).encode()
        content = file.read_bytes()
        assert old in content
        file.write_bytes(content.replace(old, text.ljust(len(old))[: len(old)], 1))


def tilt(folder: Path) -> None:
    """Moves each slice along y as a tilted gantry does."""
    for n, file in enumerate(files(folder)):
        dataset = pydicom.dcmread(file)
        position = np.array(dataset.ImagePositionPatient, dtype=float)
        dataset.ImagePositionPatient = [f"{v:.6f}" for v in position + (0, 4.0 * n, 0)]
        dataset.GantryDetectorTilt = "16"
        dataset.save_as(file)
