"""What refining a network's volumes towards the projections does to PSNR, SSIM and the residual.

    python scripts/data_consistency.py                          # the sample
    python scripts/data_consistency.py CT [CT ...] --photons 1e5

Takes the shipped weights. Writes metrics.csv and residuals.csv to runs/data_consistency, and prints a table: the mean
over the CTs, and the network alone beside its refinements by SART and by CGLS.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "runs" / "data_consistency"
CONFIGS = ["configs/train.json", "configs/evaluate.json", "configs/compact.json"]


def evaluate(cts: list[Path], photons: float, view_counts: list[int]) -> None:
    """Runs the bundle's evaluation with both refinements."""
    from scripts.running import run

    noise = {"_target_": "bundle.physics.noise.DetectorNoise", "photons": photons}
    refinements = {
        f"deepsparse+{method}": {
            "_target_": "bundle.classical.DataConsistency",
            "method": method,
            "noise": noise,
            "hu_window": "$@scan.hu_window",
        }
        for method in ("sart", "cgls")
    }
    with tempfile.TemporaryDirectory() as folder:
        listing = {"test": [{"image": str(ct.resolve())} for ct in cts]}
        (Path(folder) / "dataset.json").write_text(json.dumps(listing), encoding="utf-8")
        run(
            CONFIGS,
            "evaluating",
            dataset_dir=folder,
            output_dir=str(OUTPUT),
            overwrite=True,
            view_counts=view_counts,
            methods={},
            refinements=refinements,
            acquisition={"_target_": "bundle.physics.acquisition.Acquisition", "noise": noise},
        )


def main() -> None:
    """Evaluates and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("ct", nargs="*", type=Path, default=[ROOT / "sample_data" / "chest.nii.gz"])
    parser.add_argument("--photons", type=float, default=1e5, help="incident photons per pixel")
    parser.add_argument("--views", type=int, nargs="+", default=[6, 8, 10])
    chosen = parser.parse_args()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    from bundle.tables import read_rows
    from scripts.running import quieten

    quieten()
    for old in (OUTPUT / "metrics.csv", OUTPUT / "residuals.csv"):
        old.unlink(missing_ok=True)
    evaluate([path.absolute() for path in chosen.ct], chosen.photons, chosen.views)
    rows, residuals = read_rows(OUTPUT / "metrics.csv"), read_rows(OUTPUT / "residuals.csv")
    print("\n| views | method | PSNR dB | SSIM 3D | residual | residual / noise |\n|---|---|---|---|---|---|")
    for views in chosen.views:
        for method in dict.fromkeys(row["method"] for row in rows):
            wanted = (str(views), method)
            quality = [row for row in rows if (row["views"], row["method"]) == wanted]
            fit = [row for row in residuals if (row["views"], row["method"]) == wanted]
            psnr, ssim = (np.mean([float(row[name]) for row in quality]) for name in ("psnr_db", "ssim_3d"))
            left, ratio = (np.mean([float(row[name]) for row in fit]) for name in ("relative", "noise_ratio"))
            print(f"| {views} | {method} | {psnr:.2f} | {ssim:.4f} | {100 * left:.2f} % | {ratio:.1f} |")


if __name__ == "__main__":
    main()
