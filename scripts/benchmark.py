"""Measures this machine: ratios within one run, against other software or a straightforward implementation.

    python scripts/benchmark.py                        # everything, at the size of the paper's scans
    python scripts/benchmark.py inference scaling      # some parts
    python scripts/benchmark.py --quick                # everything small, to see that it works

Prints Markdown tables, and writes benchmark.json with every figure and plots as PNG files. Parts measured before on the
same machine, with the same versions and at the same commit stay in the file. Cases take turns, and the fastest of the
repeats counts: times of shared machines scatter, ratios within one run less. On a machine with CUDA the GPU is
measured. It ends with an error if results that should be equal are not.
"""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's, which else reports on every step

from bundle.errors import install_command_line_hook  # noqa: E402
from scripts.benchmarks.machine import circumstances, machine  # noqa: E402
from scripts.benchmarks.plots import PLOTS, draw  # noqa: E402
from scripts.benchmarks.record import Record  # noqa: E402
from scripts.benchmarks.result import QUICK, Settings, table  # noqa: E402

__all__ = ["PARTS", "machine", "main", "table"]

PARTS = ("inference", "scaling", "training", "projector", "classical", "loading", "segmentation")
"""Each is measure_NAME of the module scripts.benchmarks.NAME."""


def main() -> int:
    """Runs the chosen parts; gives the exit status."""
    install_command_line_hook()
    options = vars(parse_arguments())
    parts, output = options.pop("parts"), options.pop("output", None)
    settings = Settings(**{**(QUICK if options.get("quick") else {}), **options})
    output = output or ROOT / "runs" / ("benchmark_quick" if settings.quick else "benchmark")
    record = Record(output / "benchmark.json", circumstances())
    print(f"{machine()} Commit {record.circumstances['commit']}, {record.now()}.", flush=True)
    if record.dropped:
        print(f"Dropped from {record.path}: {', '.join(record.dropped)}; measured with {record.differences}.")
    passed = True
    for name in PARTS if "all" in parts else parts:
        print(f"\n## {name}\n", flush=True)
        passed &= run_part(name, settings, record, output)
    print(f"\nFigures: {record.path}")
    return 0 if passed else 1


def run_part(name: str, settings: Settings, record: Record, output: Path) -> bool:
    """Measures, prints, records and draws one part; gives whether all that must hold does."""
    try:
        module = importlib.import_module(f"scripts.benchmarks.{name}")
        result = getattr(module, f"measure_{name}")(settings)
    except ImportError as error:  # an optional package
        print(f"Not measured: {error}", flush=True)
        record.add(name, str(error))
        return True
    print(result.markdown(), flush=True)
    record.add(name, result)
    if name in PLOTS:
        try:
            print(f"\nPlot: {draw(name, record.parts[name], output)}", flush=True)
        except ImportError as error:
            print(f"\nNot drawn: {error}", flush=True)
    return all(check.passed for check in result.checks)


def parse_arguments() -> argparse.Namespace:
    """The command line's arguments; those of the settings by their names, and only if they are given."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        argument_default=argparse.SUPPRESS,
    )
    parser.add_argument("parts", nargs="*", default="all", choices=["all", *PARTS], help="what to measure (all)")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    parser.add_argument("--full", action="store_true", help="time the straightforward inference on every voxel")
    parser.add_argument("--amp", action="store_true", help="train in mixed precision, too")
    parser.add_argument("--compile", dest="compiled", action="store_true", help="train with torch.compile, too")
    parser.add_argument("--batch", type=int, help="items of a training step (2)")
    parser.add_argument("--size", type=int, help="pixels and voxels per side (256)")
    parser.add_argument("--views", type=int, nargs="+", help="numbers of views through the projector (24 200)")
    parser.add_argument("--repeats", type=int, help="runs of each case, of which the fastest counts (3)")
    parser.add_argument("--output", type=Path, help="folder of the results (runs/benchmark, or runs/benchmark_quick)")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
