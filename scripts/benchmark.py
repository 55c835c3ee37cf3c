"""Times projectors, classical reconstruction, a training step's simulation, loading, and segmentation metrics.

    python scripts/benchmark.py                        # everything, at the size of the paper's scans
    python scripts/benchmark.py projector --views 24   # one part
    python scripts/benchmark.py all --output table.md --quick

Cases take turns, and the fastest of the repeats counts: times of shared machines scatter, ratios within one run less.
On a machine with CUDA the GPU is measured, and astra-toolbox's projector beside it where that is installed.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import itertools
import os
import platform
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bundle.classical import make_method  # noqa: E402
from bundle.geometry import ConeBeamGeometry, circular  # noqa: E402
from bundle.phantoms import asymmetric_phantom, voxelise  # noqa: E402
from bundle.projector import BACKENDS, ConeBeamProjector  # noqa: E402
from scripts.loading import benchmark_loading  # noqa: E402
from scripts.segmentation_metrics import benchmark_segmentation_metrics  # noqa: E402

DEVICE = torch.device("cuda" if torch.cuda.is_available() else "cpu")
Row = dict[str, str]
_LONG_S = 20.0
PARTS = ["projector", "classical", "training", "loading", "segmentation"]


def scan(views: int, size: int, arc_rad: float = np.pi) -> ConeBeamGeometry:
    """The paper's scan with size^2 pixels and size^3 voxels over the same fields of view."""
    pixel, voxel = 614.4 / size, 409.6 / size
    angles = np.arange(views) * arc_rad / views
    return circular(angles, 800, 1200, (size, size), (pixel, pixel), (size, size, size), (voxel, voxel, voxel))


def fastest(cases: dict[str, Callable[[], object]], repeats: int) -> dict[str, tuple[float, float]]:
    """Seconds and extra memory in MB of each case: the least of some runs, cases taking turns.

    The first run of each warms it up, and counts only where it takes so long that compiling does not matter.
    """
    best = {name: measure(case) for name, case in cases.items()}
    short = {name: case for name, case in cases.items() if best[name][0] < _LONG_S}
    best.update(dict.fromkeys(short, (np.inf, np.inf)))
    for _ in range(repeats):
        for name, case in short.items():
            best[name] = tuple(map(min, best[name], measure(case)))
    return best


def measure(case: Callable[[], object]) -> tuple[float, float]:
    """Seconds and extra memory in MB of one run."""
    before = reset_memory()
    start = time.perf_counter()
    case()
    if DEVICE.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start, peak_memory() - before


def reset_memory() -> float:
    """Starts a new peak; gives the memory in use now in MB."""
    if DEVICE.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        return torch.cuda.memory_allocated() / 2**20
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return float("nan")
    return status_mb("VmRSS")


def peak_memory() -> float:
    """Largest memory in MB since the reset."""
    return torch.cuda.max_memory_allocated() / 2**20 if DEVICE.type == "cuda" else status_mb("VmHWM")


def status_mb(entry: str) -> float:
    """A figure of /proc/self/status in MB; NaN where there is none."""
    path = Path("/proc/self/status")
    lines = path.read_text().splitlines() if path.exists() else []
    return next((float(line.split()[1]) / 1024 for line in lines if line.startswith(entry)), float("nan"))


def benchmark_projector(views: list[int], size: int, repeats: int) -> list[Row]:
    """Projection and its adjoint by every backend that this machine has."""
    usable = [name for name, backend in BACKENDS.items() if backend.unavailable(DEVICE) is None]
    for name in usable:  # loading RTK takes longer than projecting with it
        small = ConeBeamProjector(scan(2, 8), name)
        small.adjoint(small(torch.zeros(1, 1, 8, 8, 8, device=DEVICE)))
    rows = []
    for count, direction in itertools.product(views, ("forward", "adjoint")):
        geometry = scan(count, size)
        volume = torch.from_numpy(voxelise(asymmetric_phantom(geometry.volume_size_mm), geometry, 1))[None, None]
        volume, projections = volume.to(DEVICE), torch.rand(1, count, size, size, device=DEVICE)
        cases: dict[str, Callable[[], object]] = {}
        for name in usable:
            projector = ConeBeamProjector(geometry, name)
            operator, data = (projector, volume) if direction == "forward" else (projector.adjoint, projections)
            cases[name] = partial(operator, data)
        if direction == "forward":
            cases.update(astra_case(geometry, volume))
        reference = "rtk" if "rtk" in cases else "torch"
        timed = fastest(cases, repeats)
        for name, (seconds, memory) in timed.items():
            rows.append(
                {
                    "case": f"{direction}, {count} views of {size}² through {size}³",
                    "backend": name,
                    "time": f"{1000 * seconds:.1f} ms" if seconds < 1 else f"{seconds:.2f} s",
                    f"time / {reference}": f"{seconds / timed[reference][0]:.2f}",
                    "extra memory": f"{max(memory, 0):.0f} MB",
                }
            )
    return rows


def astra_case(geometry: ConeBeamGeometry, volume: torch.Tensor) -> dict[str, Callable[[], object]]:
    """astra-toolbox's FP3D, where it has a GPU; without one its 3D algorithms end the process."""
    try:
        import astra
    except ImportError:
        return {}
    if DEVICE.type != "cuda" or not astra.use_cuda():
        return {}
    # Its vectors: source, detector's centre, steps from column to column and row to row; volumes are [z, y, x].
    vectors = np.concatenate(
        [
            geometry.source_mm,
            geometry.detector_centre_mm,
            geometry.u_axis * geometry.pixel_mm[1],
            geometry.v_axis * geometry.pixel_mm[0],
        ],
        axis=1,
    )
    half = np.array(geometry.volume_size_mm) / 2
    x, y, z = geometry.volume_shape
    grid = astra.create_vol_geom(y, x, z, -half[0], half[0], -half[1], half[1], -half[2], half[2])
    detector = astra.create_proj_geom("cone_vec", *geometry.detector_shape, vectors)
    data = volume[0, 0].permute(2, 1, 0).contiguous()
    out = torch.empty(geometry.detector_shape[0], geometry.num_views, geometry.detector_shape[1], device=DEVICE)
    projector = astra.create_projector("cuda3d", detector, grid)
    return {"astra FP3D": lambda: astra.experimental.direct_FP3D(projector, data, out)}


def benchmark_classical(views: list[int], size: int, repeats: int) -> list[Row]:
    """FDK and SART by this package and by RTK; RTK's run on the CPU alone."""
    rows = []
    for name, count, options in (("fdk", max(views), {}), ("sart", min(views), {"iterations": 1})):
        geometry = scan(count, size, 2 * np.pi)
        projections = torch.rand(1, count, size, size, device=DEVICE)
        engines = ["own"] + ["rtk"] * (BACKENDS["rtk"].unavailable(torch.device("cpu")) is None)
        cases = {engine: partial(make_method(name, engine, **options), projections, geometry) for engine in engines}
        timed = fastest(cases, repeats)
        for engine, (seconds, _) in timed.items():
            rows.append(
                {
                    "case": f"{name}, {count} views of {size}² to {size}³" + (", one pass" if name == "sart" else ""),
                    "engine": engine,
                    "time": f"{seconds:.2f} s",
                    "time / rtk": f"{seconds / timed['rtk'][0]:.2f}" if "rtk" in timed else "",
                }
            )
    return rows


def benchmark_training(batch: int, size: int, repeats: int) -> list[Row]:
    """What simulating the projections takes of a pretraining step, at the paper's settings but for the batch."""
    from monai.bundle import ConfigParser
    from monai.data import list_data_collate

    parser = ConfigParser()
    parser.read_config(str(ROOT / "configs" / "train.json"))
    parser.update({"bundle_root": str(ROOT), "detector_shape": [size] * 2, "volume_shape": [size] * 3})
    parser["jitter"] = {"_target_": "bundle.sampling.jitter.ScanJitter", "angle_deg": 1.0, "sod_mm": 10.0}
    noise = {"_target_": "bundle.physics.noise.DetectorNoise", "photons": [3e4, 3e5]}
    parser["acquisition"] = {"_target_": "bundle.physics.acquisition.Acquisition", "noise": noise}
    network, loss, optimizer = (parser.get_parsed_content(key) for key in ("network", "loss", "optimizer"))
    dataset = parser.get_parsed_content("train#dataset")
    prepare = parser.get_parsed_content("train#trainer#prepare_batch")
    items = list_data_collate([dataset[0]] * batch)

    def synchronise() -> float:
        if DEVICE.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()

    simulation, step = [], []
    network.train()
    for _ in range(repeats + 1):
        begin = synchronise()
        projections, values, _, arguments = prepare(items, DEVICE)
        middle = synchronise()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=DEVICE.type == "cuda"):
            loss(network(projections, **arguments), values).backward()
        optimizer.step()
        simulation.append(middle - begin)
        step.append(synchronise() - begin)
    best = int(np.argmin(step[1:])) + 1
    return [
        {
            "case": f"pretraining step, batch {batch}, 24 views of {size}², 10,000 points",
            "simulation": f"{simulation[best]:.3f} s",
            "whole step": f"{step[best]:.3f} s",
            "share": f"{100 * simulation[best] / step[best]:.1f} %",
        }
    ]


def table(rows: list[Row]) -> str:
    """Rows as a Markdown table."""
    columns = list(rows[0])
    lines = [columns, ["---"] * len(columns), *([row.get(name, "") for name in columns] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def machine() -> str:
    """What it ran on."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    where = torch.cuda.get_device_name() if DEVICE.type == "cuda" else f"{os.cpu_count()} cores of {model}"
    versions = []
    for package in ("torch", "numba", "triton", "itk-rtk", "monai", "astra-toolbox"):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            continue
    return f"{where}, {torch.get_num_threads()} threads; Python {platform.python_version()}, {', '.join(versions)}."


def main() -> None:
    """Runs the chosen parts and prints their tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="?", default="all", choices=["all", *PARTS])
    parser.add_argument("--views", type=int, nargs="+", default=[24, 200], help="numbers of views")
    parser.add_argument("--size", type=int, default=256, help="pixels and voxels per side")
    parser.add_argument("--batch", type=int, default=2, help="items of the training step")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each case, of which the fastest counts")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--output", type=Path, help="file for the tables, too")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.views, chosen.size, chosen.batch, chosen.repeats = [4, 20], 32, 1, 1
    parts = {
        "projector": lambda: benchmark_projector(chosen.views, chosen.size, chosen.repeats),
        "classical": lambda: benchmark_classical(chosen.views, chosen.size, chosen.repeats),
        "training": lambda: benchmark_training(chosen.batch, chosen.size, chosen.repeats),
        "loading": lambda: benchmark_loading(chosen.size, chosen.repeats),
        "segmentation": lambda: benchmark_segmentation_metrics(chosen.size, chosen.repeats),
    }
    text = machine() + "\n"
    print(text, flush=True)
    for name, run in parts.items():
        if chosen.part in ("all", name):
            made = table(run()) + "\n"
            print(made, flush=True)
            text += "\n" + made
    if chosen.output is not None:
        chosen.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
