"""Writers of scanners' geometry files, from what RTK's readers document of them, for tests to read back."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

__all__ = ["write_dbase", "write_obi", "write_probeam", "write_synergy", "write_xvi"]


def write_obi(path: Path, **changes: object) -> None:
    """Writes Varian OBI's ProjectionInfo.xml; entries are changed, or left out if None."""
    entries = {
        "CalibratedSAD": 1000.5,
        "CalibratedSID": 1500.25,
        "CalibratedDetectorOffsetX": 1.5,
        "CalibratedDetectorOffsetY": -2.5,
        "DetectorSizeX": 397.312,
        "DetectorPosLat": -148.0,
        "FanType": "HalfFan",
        **changes,
    }
    inside = "".join(f"<{name}>{value}</{name}>" for name, value in entries.items() if value is not None)
    path.write_text(f'<?xml version="1.0"?><ProjectionInfo><Geometry>{inside}</Geometry></ProjectionInfo>')


def write_probeam(path: Path, sad: object = 1000.5, sid: object = 1500.25) -> None:
    """Writes Varian TrueBeam's and ProBeam's Scan.xml, with a namespace."""
    path.write_text(
        '<?xml version="1.0"?><Scan xmlns="http://example.org/scan"><Acquisitions>'
        f"<SAD>{sad}</SAD><SID>{sid}</SID><Fan>Half</Fan></Acquisitions></Scan>"
    )


def write_xvi(
    path: Path, frames: Sequence[tuple], names: Sequence[str] = ("GantryAngle", "UCentre", "VCentre")
) -> None:
    """Writes Elekta XVI's _Frames.xml; a frame is (angle, u, v), of which None are left out."""
    text = ""
    for number, frame in enumerate(frames):
        inside = "".join(f"<{name}>{value}</{name}>" for name, value in zip(names, frame) if value is not None)
        text += f"<Frame><Seq>{number + 1}</Seq>{inside}<Inactive>False</Inactive></Frame>"
    path.write_text(f'<?xml version="1.0"?><ProjectionSet><Frames>{text}</Frames></ProjectionSet>')


def write_synergy(folder: Path, frames: Sequence[tuple[str, float, float, float]]) -> Path:
    """Writes Elekta Synergy's tables of the acquisitions 7 (uid 1.2.3) and 8 (1.2.4); a frame is (id, angle, u, v)."""
    write_dbase(folder / "IMAGE.DBF", {"DBID": 10, "DICOM_UID": 20}, [("7", "1.2.3"), ("8", "1.2.4")])
    columns = {"DBID": 6, "IMA_DBID": 10, "PROJ_ANG": 12, "U_CENTRE": 12, "V_CENTRE": 12}
    write_dbase(folder / "FRAME.DBF", columns, [(number, *frame) for number, frame in enumerate(frames)])
    return folder / "FRAME.DBF"


def write_dbase(path: Path, columns: dict[str, int], rows: Sequence[Sequence[object]]) -> None:
    """Writes a dBase III table of text columns, given by name and width."""
    content = struct.pack("<4BIHH20x", 3, 104, 1, 1, len(rows), 33 + 32 * len(columns), 1 + sum(columns.values()))
    for name, width in columns.items():
        content += struct.pack("<11sc4xB15x", name.encode(), b"C", width)
    content += b"\r"
    for row in rows:
        content += b" " + b"".join(str(value).ljust(width).encode() for value, width in zip(row, columns.values()))
    path.write_bytes(content + b"\x1a")
