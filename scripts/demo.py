"""Trains every stage briefly on the sample CT, reconstructs it from 6, 8 and 10 views, segments and draws the result.

Writes runs/demo: metrics.csv and residuals.csv with DeepSparse and the classical methods, a NIfTI volume for each and
the ground truth, comparison.png (DeepSparse) and methods.png (all methods), and segmentation/report.html. Run it with
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
from statistics import mean
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
OUTPUT = ROOT / "runs" / "demo"
TRAIN, DEMO = "configs/train.json", "configs/demo.json"
SAME = ("case", "method", "views")
AGAIN = {"overwrite": True}
SEGMENTATION = {"volumes": "runs/demo", "preset": "luna16", "output_dir": "runs/demo/segmentation", **AGAIN}
STEPS = [
    ("pretraining (HyViP)", "training", [TRAIN, DEMO], {}),
    ("finetuning, step 1: dataset adaptation", "training", [TRAIN, "configs/finetune_step1.json", DEMO], {}),
    ("finetuning, step 2: view adjustment", "training", [TRAIN, "configs/finetune_step2.json", DEMO], {}),
    ("reconstruction and image quality", "evaluating", [TRAIN, "configs/evaluate.json", DEMO], AGAIN),
    ("segmentation of the lungs, and a report", "evaluating", ["configs/evaluate_segmentation.json"], SEGMENTATION),
]


def run(files: list[str], run_id: str, changes: dict[str, Any]) -> None:
    """Runs configuration files; the same as ``python -m monai.bundle run`` with less log output."""
    from monai.bundle import ConfigWorkflow

    workflow = ConfigWorkflow(config_file=files, run_id=run_id, logging_file=False, **changes)
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def draw(case: str, view_counts: list[int], methods: list[str]) -> list[Path]:
    """Draws truth, reconstructions and differences from the written volumes: by number of views, and by method."""
    import nibabel as nib

    from bundle.physics.attenuation import hu_to_unit
    from bundle.presets import load_preset
    from bundle.visual import comparison_figure

    def unit(name: str):
        return hu_to_unit(nib.load(OUTPUT / case / f"{case}_{name}.nii.gz").get_fdata(), window)

    window = load_preset("luna16").hu_window
    voxel_mm = nib.load(OUTPUT / case / f"{case}_truth.nii.gz").header.get_zooms()
    few = view_counts[0]
    by_views = {f"{n} views": unit(f"{n}views") for n in view_counts}
    by_method = {m: unit(f"{few}views" + (f"_{m}" if m != "deepsparse" else "")) for m in methods}
    paths = [OUTPUT / "comparison.png", OUTPUT / "methods.png"]
    truth = unit("truth")
    comparison_figure(truth, by_views, voxel_mm, paths[0], title="DeepSparse demo: trained on this one scan")
    title = f"{few} views, reconstructed by every method"
    comparison_figure(truth, by_method, voxel_mm, paths[1], title=title, differences=False)
    return paths


def main() -> None:
    """Runs the demo."""
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    warnings.filterwarnings("ignore")
    from bundle.tables import read_rows

    for name in ("monai.bundle.workflows", "monai.data.nvimgcodec_pydicom_plugin"):
        logging.getLogger(name).setLevel(logging.ERROR)  # after the imports, which set levels of their own

    began = time.monotonic()
    for number, (title, run_id, files, changes) in enumerate(STEPS, start=1):
        told = "".join(f" --{name} {str(value).lower() if value is True else value}" for name, value in changes.items())
        print(f"[{number}/{len(STEPS)}] {title}", flush=True)
        print(f'      python -m monai.bundle run {run_id} --config_file "{files}"{told}', flush=True)
        start = time.monotonic()
        run(files, run_id, changes)
        print(f"      {time.monotonic() - start:.0f} s", flush=True)
    rows, residuals = read_rows(OUTPUT / "metrics.csv"), read_rows(OUTPUT / "residuals.csv")
    last = rows[-1]  # not those of an earlier demo
    rows = [row for row in rows if row["weights"] in ("", last["weights"]) and row["version"] == last["version"]]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    pictures = draw(rows[0]["case"], sorted({int(row["views"]) for row in rows}), methods)
    lungs = [row for row in read_rows(OUTPUT / "segmentation" / "structures.csv") if row["reference"] == "labels"]
    print(f"\n{'views':>5}  {'method':16}{'PSNR dB':>8}{'SSIM 3D':>9}{'SSIM 2D':>9}{'residual':>10}{'lung Dice':>11}")
    for row in sorted(rows, key=lambda row: (int(row["views"]), methods.index(row["method"]))):
        psnr, ssim_3d, ssim_2d = (float(row[name]) for name in ("psnr_db", "ssim_3d", "ssim_slices"))
        residual, dice = (
            mean(float(other[name]) for other in table if all(other[key] == row[key] for key in SAME))
            for table, name in ((residuals, "relative"), (lungs, "dice"))
        )
        figures = f"{psnr:8.2f}{ssim_3d:9.4f}{ssim_2d:9.4f}{100 * residual:9.2f}%{dice:11.3f}"
        print(f"{row['views']:>5}  {row['method']:16}{figures}")
    looked_at = ", ".join(str(path.relative_to(ROOT)) for path in pictures)
    print(f"\ndone in {time.monotonic() - began:.0f} s; look at {looked_at} and runs/demo/segmentation/report.html")
    print(f"volumes: {OUTPUT.relative_to(ROOT) / rows[0]['case']}, tables: {OUTPUT.relative_to(ROOT)}/*.csv")


if __name__ == "__main__":
    main()
