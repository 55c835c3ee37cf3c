"""What a reader of an exported file has to know: what to feed, what comes out, and of which scan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bundle.checkpoint import weights_hash
from bundle.networks import DiCE
from bundle.physics.attenuation import NORMALISATION_M
from bundle.presets import ScanPreset

__all__ = ["INPUT", "METADATA", "OUTPUT", "describe"]

METADATA = "metadata.json"
"""Name of the description in every file; MONAI looks for it under this name in TorchScript."""

INPUT, OUTPUT = "projections", "volume"


def describe(network: DiCE, scan: ScanPreset, about: Mapping[str, Any] | None = None) -> str:
    """Describes an exported network.

    Args:
        network: the network.
        scan: its default scan.
        about: further plain entries, such as name and version.

    Returns:
        A JSON text; docs/deployment.md lists its entries.
    """
    geometry = scan.geometry([0.0])
    first_voxel_mm = geometry.volume_affine[:3, 3]
    description = {
        **(about or {}),
        "input": {
            "name": INPUT,
            "axes": ["case", "view", "v", "u"],
            "shape": ["any", "any", *(int(n) for n in scan.detector_shape)],
            "dtype": "float32",
            "quantity": "line integral of (HU - lo) / (hi - lo) in metres, divided by the normalisation; "
            "HU are clipped to [lo, hi], the hu_window",
            "normalisation_m": NORMALISATION_M,
            "hu_window": [float(hu) for hu in scan.hu_window],
        },
        "output": {
            "name": OUTPUT,
            "axes": ["case", "channel", "x", "y", "z"],
            "shape": ["any", 1, *network.volume_shape],
            "dtype": "float32",
            "quantity": "(HU - lo) / (hi - lo), not clipped to [0, 1]",
            "hu_window": [float(hu) for hu in scan.hu_window],
            "voxel_mm": [float(size) for size in geometry.voxel_mm],
            "first_voxel_centre_mm": [float(place) for place in first_voxel_mm],
        },
        "scan": {
            "preset": scan.name,
            "coordinates": "right-handed, mm, origin at the isocentre, rotation about z; for a patient lying on the "
            "back x to the left, y to the back, z to the head",
            "sod_mm": float(scan.sod_mm),
            "sdd_mm": float(scan.sdd_mm),
            "pixel_mm": [float(pitch) for pitch in scan.pixel_mm],
            "arc_deg": float(scan.arc_deg),
            "angles": "view i of n at a = i * arc_deg / n",
            "source": "sod_mm * (cos a, sin a, 0)",
            "detector_centre": "(sod_mm - sdd_mm) * (cos a, sin a, 0)",
            "u_axis": "(-sin a, cos a, 0), to which columns grow",
            "v_axis": f"(0, 0, {'1' if scan.row_direction == '+z' else '-1'}), to which rows grow",
        },
        "weights_sha256": weights_hash(network),
    }
    return json.dumps(description, indent=1)
