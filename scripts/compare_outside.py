"""Compares this package's total variation with RTK's and with MBIRJAX's prior, on the same projections in one run.

    python3 -m venv .venv-mbirjax && .venv-mbirjax/bin/python -m pip install -r tests/integration/mbirjax.txt
    python scripts/compare_outside.py --data runs/real_cts --mbirjax_python .venv-mbirjax/bin/python

Every method reconstructs the section "validation" with each of its settings, and the section of the final figures with
the one of the best mean PSNR there alone. Projections are those of the evaluation (configs/evaluate.json): stored ones
where the data set has them, otherwise simulated. A setting's "average" is the number of pixels along each side that are
averaged before. Rows go to a CSV file at once, and a run that was stopped goes on after the last one. All methods use
the processors that the process may; "taskset -c 0 python ..." compares seconds on one.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from monai.bundle import ConfigParser
from monai.data import list_data_collate

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from bundle.classical.methods import make_method  # noqa: E402
from bundle.data.load_projections import with_pixels  # noqa: E402
from bundle.errors import InputError, install_command_line_hook  # noqa: E402
from bundle.geometry import ConeBeamGeometry  # noqa: E402
from bundle.geometry_rows import unpack_geometry  # noqa: E402
from bundle.metrics import psnr  # noqa: E402
from bundle.physics.attenuation import normalised_to_unit_integral  # noqa: E402
from bundle.tables import read_rows, write_rows  # noqa: E402
from scripts.outside.mbirjax_process import Mbirjax  # noqa: E402
from scripts.outside.settings import SETTINGS  # noqa: E402
from scripts.running import quieten  # noqa: E402

CONFIGS = ("configs/train.json", "configs/evaluate.json")
Row = dict[str, str]
Solve = Callable[[torch.Tensor, ConeBeamGeometry, dict[str, Any]], tuple[torch.Tensor, float]]


@dataclass(frozen=True)
class Scan:
    """One case's scan: projections [1, views, V, U] in value times mm, their geometry, the truth [1, 1, X, Y, Z]."""

    case: str
    projections: torch.Tensor
    geometry: ConeBeamGeometry
    truth: torch.Tensor


def scans(options: argparse.Namespace, section: str) -> Iterator[Scan]:
    """The evaluation's scans of a section, with every number of views."""
    parser = ConfigParser()
    parser.read_config([str(ROOT / file) for file in CONFIGS])
    changes = {"dataset_dir": str(options.data), "section": section, "view_counts": options.views}
    changes |= {"bundle_root": str(ROOT), "preset": options.preset, "detector_shape": [options.pixels] * 2}
    parser.update(pairs={**changes, "volume_shape": [options.voxels] * 3, "num_total": None})
    read, prepare = (parser.get_parsed_content(f"validate#{n}") for n in ("preprocessing", "evaluator#prepare_batch"))
    for entry in parser.get_parsed_content("validate#dataset#data"):
        item = read(entry)
        projections, truth, _, _ = prepare(list_data_collate([item]))
        geometry = unpack_geometry(torch.as_tensor(item["geometry"])).with_volume(truth.shape[2:])
        yield Scan(item["case"], normalised_to_unit_integral(projections), geometry, truth)


def averaged(projections: torch.Tensor, geometry: ConeBeamGeometry, factor: int) -> tuple[torch.Tensor, Any]:
    """Projections and geometry with the mean of factor x factor pixels for one.

    Raises:
        InputError: when the detector cannot be divided so.
    """
    if any(n % factor for n in geometry.detector_shape):
        raise InputError("average", f"is {factor} for {geometry.detector_shape} pixels.", "Give one that divides them.")
    rows, columns = (n // factor for n in geometry.detector_shape)
    return with_pixels(projections, (rows, columns)), geometry.with_pixels((rows, columns))


def methods(mbirjax: Mbirjax | None) -> dict[str, Solve]:
    """How each method reconstructs with the options of a setting."""

    def timed(engine: str) -> Solve:
        def solve(projections: torch.Tensor, geometry: ConeBeamGeometry, setting: dict[str, Any]) -> Any:
            method = make_method("tv", engine, **setting)
            start = time.perf_counter()
            volume = method(projections, geometry)
            return volume, time.perf_counter() - start

        return solve

    def prior(projections: torch.Tensor, geometry: ConeBeamGeometry, setting: dict[str, Any]) -> Any:
        parameters = dict(setting)
        options = {key: parameters.pop(key) for key in ("max_iterations", "stop_threshold_change_pct", "init_recon")
                   if key in parameters}  # fmt: skip
        return mbirjax.reconstruct(projections, geometry, parameters, options)

    found = {"tv": timed("own"), "rtk": timed("rtk")}
    return found if mbirjax is None else {**found, "mbirjax": prior}


class Results:
    """Rows of a CSV file, each written at once.

    Args:
        path: the file; rows that it has are not made again.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = read_rows(path)

    def has(self, **known: str) -> bool:
        """Whether there is a row with these entries."""
        return any(known.items() <= row.items() for row in self.rows)

    def add(self, row: Row) -> None:
        """Writes a row."""
        self.rows.append(row)
        write_rows(self.rows, self.path)

    def best(self, section: str, method: str, views: str, settings: Sequence[str]) -> tuple[str, float]:
        """The setting of the best mean PSNR in a section, and that mean.

        Raises:
            InputError: when the section has no results of the method.
        """
        means = {}
        for setting in settings:
            wanted = {"section": section, "method": method, "views": views, "setting": setting}
            values = [float(row["psnr_db"]) for row in self.rows if wanted.items() <= row.items()]
            if values:
                means[setting] = mean(values)
        if not means:
            raise InputError(self.path, f"has no {section} results of {method}.", "Run that section first.")
        best = max(means, key=means.get)
        return best, means[best]


def reconstruct_all(
    found: Iterator[Scan], section: str, solvers: dict[str, Solve], settings: Any, results: Results
) -> None:
    """Adds the rows of a section.

    Args:
        found: its scans.
        section: its name.
        solvers: by method.
        settings: gives the settings, as JSON texts, from method and number of views.
        results: where rows go.
    """
    for scan in found:
        views = str(scan.geometry.num_views)
        for method, solve in solvers.items():
            for text in settings(method, views):
                known = {"section": section, "case": scan.case, "views": views, "method": method, "setting": text}
                if results.has(**known):
                    continue
                setting = json.loads(text)
                projections, geometry = averaged(scan.projections, scan.geometry, setting.pop("average", 1))
                with torch.no_grad():
                    volume, seconds = solve(projections, geometry, setting)
                quality = psnr(volume[0, 0].clamp(0, 1).numpy(), scan.truth[0, 0].numpy(), 1.0)
                results.add({**known, "psnr_db": f"{quality:.4f}", "seconds": f"{seconds:.2f}"})
                print(f"{section} {scan.case}, {views} views, {method} {text}: {quality:.2f} dB, {seconds:.1f} s")


def table(results: Results, section: str, settings: dict[str, list[str]], chosen_on: str) -> str:
    """The means of a section as Markdown, with each method's setting of the best mean elsewhere."""
    lines = ["| views | method | setting | chosen at, dB | PSNR dB | cases | seconds |", "|---" * 7 + "|"]
    for views in sorted({row["views"] for row in results.rows if row["section"] == section}, key=int):
        for method, texts in settings.items():
            setting, before = results.best(chosen_on, method, views, texts)
            wanted = {"section": section, "method": method, "views": views, "setting": setting}
            rows = [row for row in results.rows if wanted.items() <= row.items()]
            if rows:
                quality, seconds = (mean(float(row[name]) for row in rows) for name in ("psnr_db", "seconds"))
                cells = [views, method, f"`{setting}`", f"{before:.2f}", f"{quality:.2f}", len(rows), f"{seconds:.1f}"]
                lines.append(f"| {' | '.join(str(cell) for cell in cells)} |")
    return "\n".join(lines)


def main() -> None:
    """Reconstructs both sections and prints the table."""
    install_command_line_hook()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT / "sample_data", help="data set folder")
    parser.add_argument("--choose_on", default="validation", help="section on which settings are chosen (validation)")
    parser.add_argument("--section", default="test", help="section of the final figures (test)")
    parser.add_argument("--preset", default="abdomenatlas", help="scan preset (abdomenatlas)")
    parser.add_argument("--views", type=int, nargs="+", default=[6], help="numbers of views (6)")
    parser.add_argument("--voxels", type=int, default=128, help="voxels a side (128)")
    parser.add_argument("--pixels", type=int, default=256, help="detector pixels a side (256)")
    parser.add_argument("--settings", type=Path, help='JSON file, {"rtk": [{"weight": ...}, ...]}, for other settings')
    parser.add_argument("--mbirjax_python", type=Path, help="interpreter of an environment with mbirjax")
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "outside.csv", help="table of all results")
    options = parser.parse_args()
    quieten()
    given = SETTINGS if options.settings is None else json.loads(options.settings.read_text(encoding="utf-8"))
    settings = {method: [json.dumps(setting, sort_keys=True) for setting in each] for method, each in given.items()}
    results = Results(options.output)
    with contextlib.ExitStack() as stack:
        mbirjax = None if options.mbirjax_python is None else stack.enter_context(Mbirjax(options.mbirjax_python))
        if mbirjax is None and settings.pop("mbirjax", None):
            print("MBIRJAX is left out: name its interpreter with --mbirjax_python; pip install mbirjax installs it.")
        solvers = {method: solve for method, solve in methods(mbirjax).items() if method in settings}
        reconstruct_all(
            scans(options, options.choose_on), options.choose_on, solvers, lambda method, _: settings[method], results
        )

        def chosen(method: str, views: str) -> list[str]:
            return [results.best(options.choose_on, method, views, settings[method])[0]]

        if options.section != options.choose_on:
            reconstruct_all(scans(options, options.section), options.section, solvers, chosen, results)
    print(table(results, options.section, settings, options.choose_on))


if __name__ == "__main__":
    main()
