"""The settings that scripts/compare_outside.py tries.

Each is the method's own options, and "average", the pixels along each side whose mean is taken before (this package's
method does it by itself). RTK's and
MBIRJAX's defaults are the first of theirs. Both stop far from their minima then, so the others take more iterations;
their weights are those that a coarse search on three validation CTs (64^3 voxels, 6 views) found worth trying.
"""

from __future__ import annotations

from typing import Any

__all__ = ["SETTINGS"]

_RTK = {"average": 2, "iterations": 200, "cg_iterations": 5}
_MBIRJAX = {"average": 2, "max_iterations": 100, "stop_threshold_change_pct": 0.0, "positivity_flag": True}

SETTINGS: dict[str, list[dict[str, Any]]] = {
    "tv": [{}],
    "rtk": [
        {"average": 2},
        *({**_RTK, "weight": weight, "penalty": penalty}
          for weight, penalty in ((100.0, 3000.0), (100.0, 10000.0), (300.0, 10000.0))),
    ],
    "mbirjax": [
        {"average": 2, "positivity_flag": True},
        *({**_MBIRJAX, "sharpness": sharpness, "snr_db": snr_db}
          for sharpness, snr_db in ((-2.0, 40.0), (-2.0, 50.0), (-3.0, 50.0), (-4.0, 50.0), (-5.0, 50.0))),
    ],
}  # fmt: skip
"""Options by method: this package's total variation as in configs/evaluate.json, RTK's, and MBIRJAX's qGGMRF prior."""
