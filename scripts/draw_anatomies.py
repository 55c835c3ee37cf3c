"""Draws the contact sheets of docs/anatomies: 24 random samples of every anatomy.

    python -m scripts.draw_anatomies                      # chest.png, abdomen.png ...
    python -m scripts.draw_anatomies --real FOLDER        # and real_warped.png, from the CTs in a folder

Each sample shows an axial slice in a soft-tissue window, and a coronal or sagittal one over a wide window.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from bundle.atomic import atomic_path
from bundle.data.anatomy.generate import ANATOMIES
from bundle.data.anatomy_list import anatomy_items
from bundle.visual import plane, shortened
from scripts.anatomy_samples import generated, grid_of, real_cases, real_reader

SOFT, WIDE = (-250.0, 350.0), (-1000.0, 1000.0)
COLUMNS = 6
GREYS = 64  # levels; more would keep noise and double the files


def slices(volume: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An axial slice and a coronal or sagittal one near the middle, in [0, 1] over their windows.

    Args:
        volume: [x, y, z] HU.
        seed: chooses them.
    """
    rng = np.random.default_rng(seed)
    pictures = []
    for name, axis, (low, high) in (
        ("axial", 2, SOFT),
        (("coronal", 1, WIDE), ("sagittal", 0, WIDE))[int(rng.integers(2))],
    ):
        middle = int(volume.shape[axis] * rng.uniform(0.38, 0.62))
        thin = np.take(volume, [middle], axis=axis)
        pictures.append(((plane(thin, name, (1.0, 1.0, 1.0))[0] - low) / (high - low)).clip(0, 1))
    return pictures[0], pictures[1]


def sheet(title: str, pairs: Sequence[tuple[str, np.ndarray, np.ndarray]], path: Path) -> None:
    """Draws samples side by side into a PNG of grey levels.

    Args:
        title: heading.
        pairs: label and two square pictures of each.
        path: the file.
    """
    rows = -(-len(pairs) // COLUMNS)
    figure = Figure(figsize=(2.3 * COLUMNS, 1.3 * rows + 0.35), facecolor="white", dpi=130)
    canvas = FigureCanvasAgg(figure)
    grid = figure.add_gridspec(
        rows,
        COLUMNS,
        left=0.004,
        right=0.996,
        bottom=0.006,
        top=1 - 0.45 / (1.3 * rows + 0.35),
        wspace=0.03,
        hspace=0.13,
    )
    for number, (label, first, second) in enumerate(pairs):
        axes = figure.add_subplot(grid[number // COLUMNS, number % COLUMNS])
        axes.imshow(np.concatenate([first, second], axis=1), cmap="gray", vmin=0, vmax=1, interpolation="bilinear")
        axes.set_axis_off()
        axes.set_title(shortened(label, 36), fontsize=7, pad=2).set_parse_math(False)
    figure.suptitle(title, fontsize=9, y=0.995).set_parse_math(False)
    canvas.draw()
    grey = np.asarray(canvas.buffer_rgba())[..., :3].mean(axis=2)
    grey = np.round(grey * ((GREYS - 1) / 255)) * (255 / (GREYS - 1))
    with atomic_path(path) as temporary:
        Image.fromarray(grey.astype(np.uint8)).save(temporary, format="png", optimize=True)


def draw(anatomy: str, count: int, size: int, seed: int, output: Path) -> Path:
    """Draws one anatomy's sheet; returns its path."""
    seeds = [seed + number for number in range(count)]
    pairs = [(f"seed {s}", *slices(generated(anatomy, s, size).numpy(), s)) for s in seeds]
    field = grid_of(anatomy, size).voxel_mm[0] * size
    path = output / f"{anatomy}.png"
    sheet(f"{anatomy}, {field:.0f} mm: {SOFT[0]:g} to {SOFT[1]:g} HU, {WIDE[0]:g} to {WIDE[1]:g} HU", pairs, path)
    return path


def draw_real(folder: Path, count: int, size: int, seed: int, output: Path) -> Path:
    """Draws the sheet of warped real CTs; returns its path."""
    cases = [case for case in real_cases(folder) if not case.get("group", "").endswith("phantom")]
    items = anatomy_items(count, seed, {}, cases, real_share=1.0)
    read = real_reader("", size)
    pairs = [(item["case"], *slices(read(item, item["seed"]).numpy(), item["seed"])) for item in items]
    path = output / "real_warped.png"
    sheet(f"real CTs, warped, 410 mm: {SOFT[0]:g} to {SOFT[1]:g} HU, {WIDE[0]:g} to {WIDE[1]:g} HU", pairs, path)
    return path


def main(arguments: Sequence[str] | None = None) -> None:
    """Draws the sheets."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("docs/anatomies"))
    parser.add_argument("--anatomies", nargs="*", default=list(ANATOMIES), help="those to draw")
    parser.add_argument("--real", type=Path, help="folder of real CTs")
    parser.add_argument("--count", type=int, default=24, help="samples on a sheet")
    parser.add_argument("--size", type=int, default=128, help="voxels a side")
    parser.add_argument("--seed", type=int, default=0, help="of the first sample")
    chosen = parser.parse_args(arguments)
    common = (chosen.count, chosen.size, chosen.seed, chosen.output)
    chosen.output.mkdir(parents=True, exist_ok=True)
    for anatomy in chosen.anatomies:
        print(f"wrote {draw(anatomy, *common)}", flush=True)
    if chosen.real is not None:
        print(f"wrote {draw_real(chosen.real, *common)}")


if __name__ == "__main__":
    main()
