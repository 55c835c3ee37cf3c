"""Reconstructs a chest CT from 6, 8 and 10 views with the shipped weights, segments and draws the result.

The sample was never trained on. Writes runs/demo: metrics.csv and residuals.csv with DeepSparse and the classical
methods, a NIfTI volume for each and the ground truth, comparison.png (DeepSparse) and methods.png (all methods), and
segmentation/report.html. Run it with ``make demo``, or with ``python scripts/demo.py`` in an environment that has the
dependencies. With ``--train`` (``make demo-training``) it first trains every stage briefly, on that one scan, and does
the rest with the weights that this gives, in runs/demo_training; a training that was interrupted goes on where it
stopped.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TRAIN, EVALUATE, DEMO = "configs/train.json", "configs/evaluate.json", "configs/demo.json"
SAME = ("case", "method", "views")
AGAIN = {"overwrite": True}


@dataclass(frozen=True)
class Demo:
    """What is shown.

    Args:
        output: its folder.
        preset: the scan, whose HU window the pictures have.
        title: over the pictures.
        training: the stages' configuration files by what they do; none with the shipped weights.
        evaluation: configuration files.
    """

    output: str
    preset: str
    title: str
    training: dict[str, list[str]]
    evaluation: list[str]

    def steps(self) -> list[tuple[str, str, list[str], dict[str, Any]]]:
        """Title, run id, configuration files and changes of everything that is run."""
        places = {"output_dir": self.output, **AGAIN}
        segmentation = {
            "volumes": self.output,
            "dataset_dir": "sample_data",
            "preset": self.preset,
            "output_dir": f"{self.output}/segmentation",
        }
        return [
            *((title, "training", files, {}) for title, files in self.training.items()),
            ("reconstruction and image quality", "evaluating", self.evaluation, places),
            (
                "segmentation of the lungs, and a report",
                "evaluating",
                ["configs/evaluate_segmentation.json"],
                {**segmentation, **AGAIN},
            ),
        ]


SHIPPED = Demo(
    "runs/demo",
    "abdomenatlas",
    "A chest that the weights have never seen",
    {},
    [TRAIN, EVALUATE, "configs/compact.json"],
)
TRAINED = Demo(
    "runs/demo_training",
    "luna16",
    "Trained for minutes on this one scan",
    {
        "pretraining (HyViP)": [TRAIN, DEMO],
        "finetuning, step 1: dataset adaptation": [TRAIN, "configs/finetune_step1.json", DEMO],
        "finetuning, step 2: view adjustment": [TRAIN, "configs/finetune_step2.json", DEMO],
    },
    [TRAIN, EVALUATE, DEMO],
)


def draw(demo: Demo, case: str, view_counts: list[int], methods: list[str]) -> list[Path]:
    """Draws truth, reconstructions and differences from the written volumes: by number of views, and by method."""
    import nibabel as nib

    from bundle.handlers.reconstruction_saver import truth_path, volume_path
    from bundle.physics.attenuation import hu_to_unit
    from bundle.presets import load_preset
    from bundle.visual import comparison_figure

    def unit(path: Path):
        return hu_to_unit(nib.load(path).get_fdata(), window)

    output = ROOT / demo.output
    window = load_preset(demo.preset).hu_window
    voxel_mm = nib.load(truth_path(output, case)).header.get_zooms()
    few = view_counts[0]
    by_views = {f"{n} views": unit(volume_path(output, case, n)) for n in view_counts}
    by_method = {m: unit(volume_path(output, case, few, "" if m == "deepsparse" else m)) for m in methods}
    paths = [output / "comparison.png", output / "methods.png"]
    truth = unit(truth_path(output, case))
    comparison_figure(truth, by_views, voxel_mm, paths[0], title=f"{demo.title}: DeepSparse")
    title = f"{demo.title}: {few} views, by every method"
    comparison_figure(truth, by_method, voxel_mm, paths[1], title=title, differences=False)
    return paths


def main() -> None:
    """Runs the demo."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--train", action="store_true", help="train every stage briefly, and use these weights")
    demo = TRAINED if parser.parse_args().train else SHIPPED
    output, steps = ROOT / demo.output, demo.steps()
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    from bundle.tables import read_rows
    from scripts.running import quieten, run

    quieten()

    began = time.monotonic()
    for number, (title, run_id, files, changes) in enumerate(steps, start=1):
        told = "".join(f" --{name} {str(value).lower() if value is True else value}" for name, value in changes.items())
        print(f"[{number}/{len(steps)}] {title}", flush=True)
        print(f'      python -m monai.bundle run {run_id} --config_file "{files}"{told}', flush=True)
        start = time.monotonic()
        run(files, run_id, **changes)
        print(f"      {time.monotonic() - start:.0f} s", flush=True)
    rows, residuals = read_rows(output / "metrics.csv"), read_rows(output / "residuals.csv")
    last = rows[-1]  # not those of an earlier demo
    rows = [row for row in rows if row["weights"] in ("", last["weights"]) and row["version"] == last["version"]]
    methods = list(dict.fromkeys(row["method"] for row in rows))
    pictures = draw(demo, rows[0]["case"], sorted({int(row["views"]) for row in rows}), methods)
    lungs = [row for row in read_rows(output / "segmentation" / "structures.csv") if row["reference"] == "labels"]
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
    print(f"\ndone in {time.monotonic() - began:.0f} s; look at {looked_at} and {demo.output}/segmentation/report.html")
    print(f"volumes: {demo.output}/{rows[0]['case']}, tables: {demo.output}/*.csv")


if __name__ == "__main__":
    main()
