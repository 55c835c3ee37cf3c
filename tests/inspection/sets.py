"""Prepared data sets with the records that preparation leaves of their files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from bundle.presets import ScanPreset
from tests.prepared.sets import write_set


def write_recorded_set(folder: Path, scan: ScanPreset, sections: Mapping[str, Sequence[str]], **options) -> Path:
    """Writes a prepared set of phantoms, and a record for each case."""
    write_set(folder, scan, sections, **options)
    (folder / "records").mkdir()
    for names in sections.values():
        for name in names:
            files = {
                str(path.relative_to(folder)): {
                    "bytes": path.stat().st_size,
                    "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
                }
                for path in (folder / "cases" / name).iterdir()
            }
            record = {"case": name, "items": [{"name": name, "files": files}]}
            (folder / "records" / f"{name}.json").write_text(json.dumps(record))
    return folder
