"""Draws where reconstructions are most wrong: what they lack, and what they invent.

    python -m scripts.draw_errors runs/evaluate --views 6 --output docs/errors.png CASE [CASE ...]

The folder is one that an evaluation wrote (configs/evaluate.json). For each case a row shows the axial slice in which
the network's volume is most wrong after smoothing over about a centimetre, beside the truth, total variation, and the
smoothed difference; the largest lack and the largest invention are circled.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from scipy.ndimage import gaussian_filter

from bundle.atomic import atomic_path
from bundle.errors import InputError, install_command_line_hook
from bundle.handlers.reconstruction_saver import truth_path, volume_path
from bundle.segmentation.frame import turned
from bundle.visual import plane

WINDOW = (-1000.0, 1000.0)
SMOOTHING_MM = 5.0
FOUND = {"invents": ("red", 1.0), "lacks": ("deepskyblue", -1.0)}


def volumes(folder: Path, case: str, views: int, methods: Sequence[str]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Truth, the network's volume ("deepsparse") and others in HU, [x, y, z] in LPS order; and the voxel's size.

    Raises:
        InputError: when the evaluation did not write one of them.
    """
    found = {}
    for method in ("truth", "deepsparse", *methods):
        own = "" if method == "deepsparse" else method
        path = truth_path(folder, case) if method == "truth" else volume_path(folder, case, views, own)
        if not path.is_file():
            raise InputError(path, "does not exist.", "Evaluate the case with this method and number of views first.")
        image = nib.load(path)
        oriented = turned(image.get_fdata(dtype=np.float32), image.affine, "LPS")
        found[method] = oriented.values
    return found, np.asarray(oriented.spacing_mm)


def worst(difference: np.ndarray, voxel_mm: np.ndarray) -> tuple[int, dict[str, tuple[int, int, float]]]:
    """The slice across z that holds the largest difference, and its extremes.

    Args:
        difference: [x, y, z] reconstruction less truth.
        voxel_mm: voxel size.

    Returns:
        The slice, and by name of FOUND the place (x, y) and the value of the extreme in it.
    """
    z = int(np.unravel_index(np.abs(difference).argmax(), difference.shape)[2])
    flat = difference[:, :, z]
    extremes = {}
    for name, (_, sign) in FOUND.items():
        x, y = np.unravel_index((sign * flat).argmax(), flat.shape)
        extremes[name] = (int(x), int(y), float(flat[x, y]))
    return z, extremes


def draw(cases: Mapping[str, tuple[dict[str, np.ndarray], np.ndarray]], path: Path, title: str) -> None:
    """Draws one row for each case."""
    columns = len(next(iter(cases.values()))[0]) + 1
    figure = Figure(figsize=(2.5 * columns, 2.7 * len(cases) + 0.3), dpi=100, facecolor="black", layout="constrained")
    canvas = FigureCanvasAgg(figure)
    figure.suptitle(title, color="white", fontsize=10)
    for axes, (case, (found, voxel_mm)) in zip(figure.subplots(len(cases), columns, squeeze=False), cases.items()):
        difference = gaussian_filter(found["deepsparse"] - found["truth"], SMOOTHING_MM / voxel_mm)
        z, extremes = worst(difference, voxel_mm)
        panels = [*((name, volume, "gray", WINDOW) for name, volume in found.items())]
        panels.append(("difference, smoothed", difference, "seismic", (-400.0, 400.0)))
        for axis, (name, volume, colours, (low, high)) in zip(axes, panels):
            image, ratio = plane(volume[:, :, z : z + 1], "axial", voxel_mm)
            axis.imshow(image, cmap=colours, vmin=low, vmax=high, aspect=ratio, interpolation="nearest")
            axis.set(xticks=[], yticks=[])
            axis.set_title(name, color="white", fontsize=8)
            for what, (x, y, _) in extremes.items():
                axis.add_patch(Circle((x, y), 14.0 / voxel_mm[0], fill=False, color=FOUND[what][0], linewidth=1.2))
        said = ", ".join(f"{what} {abs(value):.0f} HU" for what, (_, _, value) in extremes.items())
        axes[0].set_ylabel(case, color="white", fontsize=8)
        axes[-1].set_xlabel(said, color="white", fontsize=8)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        canvas.print_png(file)


def main() -> None:
    """Draws the picture."""
    install_command_line_hook()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="output_dir of the evaluation")
    parser.add_argument("cases", nargs="+", help="names of cases")
    parser.add_argument("--views", type=int, default=6)
    parser.add_argument("--methods", nargs="*", default=["tv"], help="others to show")
    parser.add_argument("--output", type=Path, default=Path("docs/errors.png"))
    options = parser.parse_args()
    cases = {case: volumes(options.folder, case, options.views, options.methods) for case in options.cases}
    draw(
        cases,
        options.output,
        f"Where {options.views} views are not enough: the worst slices (blue: lacks, red: invents)",
    )
    print(f"wrote {options.output}")


if __name__ == "__main__":
    main()
