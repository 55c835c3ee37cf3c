"""Trains every stage briefly on the sample CT, reconstructs it from 6, 8 and 10 views, and draws the result.

Writes runs/demo: metrics.csv, one NIfTI volume per number of views, the ground truth, and comparison.png. Run it with
``make demo``, or with ``python scripts/demo.py`` in an environment that has the dependencies. A demo that was
interrupted goes on where it stopped; delete runs/demo to start anew.
"""

from __future__ import annotations

import logging
import os
import sys
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "runs" / "demo"
TRAIN, DEMO = "configs/train.json", "configs/demo.json"
STEPS = [
    ("pretraining (HyViP)", "training", [TRAIN, DEMO]),
    ("finetuning, step 1: dataset adaptation", "training", [TRAIN, "configs/finetune_step1.json", DEMO]),
    ("finetuning, step 2: view adjustment", "training", [TRAIN, "configs/finetune_step2.json", DEMO]),
    ("reconstruction and evaluation", "evaluating", [TRAIN, "configs/evaluate.json", DEMO]),
]


def run(files: list[str], run_id: str) -> None:
    """Runs configuration files; the same as ``python -m monai.bundle run`` with less log output."""
    from monai.bundle import ConfigWorkflow

    changes = {"overwrite": True} if run_id == "evaluating" else {}
    workflow = ConfigWorkflow(config_file=files, run_id=run_id, logging_file=False, **changes)
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def draw(case: str, view_counts: list[int]) -> Path:
    """Draws truth, reconstructions and differences from the written volumes."""
    import nibabel as nib

    from bundle.physics.attenuation import hu_to_unit
    from bundle.presets import load_preset
    from bundle.visual import comparison_figure

    def unit(name: str):
        return hu_to_unit(nib.load(OUTPUT / case / f"{case}_{name}.nii.gz").get_fdata(), window)

    window = load_preset("luna16").hu_window
    voxel_mm = nib.load(OUTPUT / case / f"{case}_truth.nii.gz").header.get_zooms()
    path = OUTPUT / "comparison.png"
    reconstructions = {f"{n} views": unit(f"{n}views") for n in view_counts}
    comparison_figure(unit("truth"), reconstructions, voxel_mm, path, title="DeepSparse demo: trained on this one scan")
    return path


def main() -> None:
    """Runs the demo."""
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    warnings.filterwarnings("ignore")
    from bundle.tables import read_rows

    for name in ("monai.bundle.workflows", "monai.data.nvimgcodec_pydicom_plugin"):
        logging.getLogger(name).setLevel(logging.ERROR)  # after the imports, which set levels of their own

    began = time.monotonic()
    for number, (title, run_id, files) in enumerate(STEPS, start=1):
        print(f"[{number}/{len(STEPS)}] {title}", flush=True)
        print(f'      python -m monai.bundle run {run_id} --config_file "{files}"', flush=True)
        start = time.monotonic()
        run(files, run_id)
        print(f"      {time.monotonic() - start:.0f} s", flush=True)
    rows = read_rows(OUTPUT / "metrics.csv")
    rows = [row for row in rows if row["weights"] == rows[-1]["weights"]]  # not those of an earlier demo
    picture = draw(rows[0]["case"], [int(row["views"]) for row in rows])
    print(f"\n{'case':10}{'views':>6}{'PSNR dB':>10}{'SSIM 3D':>10}{'SSIM 2D':>10}")
    for row in rows:
        figures = [float(row[name]) for name in ("psnr_db", "ssim_3d", "ssim_slices")]
        print(f"{row['case']:10}{row['views']:>6}{figures[0]:10.2f}{figures[1]:10.4f}{figures[2]:10.4f}")
    print(f"\ndone in {time.monotonic() - began:.0f} s; look at {picture.relative_to(ROOT)}")
    print(f"volumes: {OUTPUT.relative_to(ROOT) / rows[0]['case']}, table: {OUTPUT.relative_to(ROOT) / 'metrics.csv'}")


if __name__ == "__main__":
    main()
