"""Compares generated anatomies with real CTs: HU, power spectrum and projections.

    python -m scripts.compare_anatomies --real FOLDER

Writes docs/anatomies/statistics.json and statistics.png, and prints a table. Real CTs are brought to the same grid,
unchanged otherwise. As a measure of how much is much, each distance is also given between the real CTs themselves: the
median over them of the distance between one and the mean of the others.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bundle.atomic import atomic_path
from bundle.data.anatomy.generate import ANATOMIES
from bundle.data.anatomy.real.augmentation import Augmentation
from bundle.json_files import write_json
from bundle.physics.attenuation import hu_to_unit
from bundle.presets import ScanPreset
from bundle.simulation import project_own_voxels
from scripts.anatomy_samples import GROUPS, generated, grid_of, real_cases, real_reader

EDGES_HU = np.arange(-1000.0, 1800.1, 20.0)
CLASSES_HU = {"lung": (-950, -500), "fat": (-200, -20), "soft": (-20, 150), "bone": (150, 3072)}
_BODY_HU = -950.0  # what is less dense is the air around
_PROJECTIONS = ("mean", "spread", "gradient")


def histogram(hu: np.ndarray) -> np.ndarray:
    """Shares of the body's voxels by HU, in bins of EDGES_HU, the ends included in the last ones."""
    body = hu[hu > _BODY_HU].clip(EDGES_HU[0], EDGES_HU[-1] - 1e-3)
    counts = np.histogram(body, EDGES_HU)[0].astype(float)
    return counts / max(counts.sum(), 1.0)


def class_shares(hu: np.ndarray) -> dict[str, float]:
    """Share of the body's voxels in every tissue class."""
    body = hu[hu > _BODY_HU]
    return {name: float(((body >= low) & (body < high)).mean()) for name, (low, high) in CLASSES_HU.items()}


def spectrum(hu: np.ndarray, voxel_mm: float, bins: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Radially averaged power spectrum of a cube of HU under a Hann window.

    Args:
        hu: [N, N, N].
        voxel_mm: voxel size.
        bins: of the frequency.

    Returns:
        Frequencies in cycles per mm up to the Nyquist frequency, and log10 of the power there in HU^2 mm^3.
    """
    n = hu.shape[0]
    window = np.hanning(n)
    values = hu.clip(-1000, 1500) + 1000.0
    values = (values - values.mean()) * window[:, None, None] * window[None, :, None] * window[None, None, :]
    power = np.abs(np.fft.rfftn(values)) ** 2 * voxel_mm**3 / values.size
    full, half = np.fft.fftfreq(n, voxel_mm), np.fft.rfftfreq(n, voxel_mm)
    radius = np.sqrt(full[:, None, None] ** 2 + full[None, :, None] ** 2 + half[None, None, :] ** 2)
    edges = np.linspace(0.5 / (n * voxel_mm), 0.5 / voxel_mm, bins + 1)
    which = np.digitize(radius.ravel(), edges) - 1
    inside = (which >= 0) & (which < bins)
    sums = np.bincount(which[inside], power.ravel()[inside], bins)
    counts = np.bincount(which[inside], minlength=bins)
    return 0.5 * (edges[1:] + edges[:-1]), np.log10(sums / np.maximum(counts, 1) + 1e-12)


def projection_statistics(hu: torch.Tensor, scan: ScanPreset, views: int) -> dict[str, float]:
    """Mean, spread over pixels, and spread of differences between neighbours (per mm) of normalised projections."""
    angles = scan.candidate_angles_rad[:: max(1, scan.candidate_views // views)][:views]
    unit = hu_to_unit(hu, scan.hu_window)[None, None]
    made = project_own_voxels(unit, scan.geometry(angles), scan.hu_window)[0].numpy()
    across = np.diff(made, axis=2) / scan.pixel_mm[1]
    return {"mean": float(made.mean()), "spread": float(made.std()), "gradient": float(across.std())}


def measured(hu: torch.Tensor, scan: ScanPreset, views: int) -> dict[str, Any]:
    """All statistics of one volume."""
    values = hu.numpy()
    return {
        "histogram": histogram(values),
        "classes": class_shares(values),
        "spectrum": spectrum(values, scan.voxel_mm[0])[1],
        "projections": projection_statistics(hu, scan, views),
    }


def wasserstein(first: np.ndarray, second: np.ndarray) -> float:
    """Earth mover's distance in HU of two histograms over EDGES_HU: the area between their sums."""
    return float(np.abs(np.cumsum(first - second)).sum() * (EDGES_HU[1] - EDGES_HU[0]))


def spectral_db(first: np.ndarray, second: np.ndarray) -> float:
    """Log-spectral distance in dB: root mean square of the difference of two log10 power spectra, times 10."""
    return float(10 * np.sqrt(np.mean((first - second) ** 2)))


def distances(samples: Sequence[dict[str, Any]], others: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Distances between the means of two sets: of histograms in HU, spectra in dB, and projections' statistics in %."""
    means = [
        {key: np.mean([s[key] for s in part], axis=0) for key in ("histogram", "spectrum")}
        for part in (samples, others)
    ]
    result = {
        "histogram_hu": wasserstein(means[0]["histogram"], means[1]["histogram"]),
        "spectrum_db": spectral_db(means[0]["spectrum"], means[1]["spectrum"]),
    }
    for name in _PROJECTIONS:
        first, second = (np.mean([s["projections"][name] for s in part]) for part in (samples, others))
        result[f"projections_{name}_percent"] = float(100 * (first / second - 1)) if second else 0.0
    return result


def among(samples: Sequence[dict[str, Any]]) -> dict[str, float] | None:
    """Median distance of one sample from the others; None for less than two."""
    if len(samples) < 2:
        return None
    found = [distances([s], [*samples[:i], *samples[i + 1 :]]) for i, s in enumerate(samples)]
    return {name: float(np.median([abs(one[name]) for one in found])) for name in found[0]}


def compare(
    anatomy: str, cases: Sequence[dict[str, Any]], count: int, size: int, views: int
) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Measures an anatomy and the real CTs of its groups.

    Returns:
        What statistics.json holds of it, and the statistics of the generated and of the real volumes.
    """
    scan = grid_of(anatomy, size)
    made = [measured(generated(anatomy, 1000 + seed, size), scan, views) for seed in range(count)]
    read = real_reader(anatomy, size, Augmentation.none())
    mine = [case for case in cases if case.get("group", case["case"]) in GROUPS.get(anatomy, (anatomy,))]
    real = [measured(read(case), scan, views) for case in mine]
    record = {
        "field_mm": scan.voxel_mm[0] * size,
        "voxel_mm": scan.voxel_mm[0],
        "generated": _summary(made),
        "real": _summary(real) if real else None,
        "real_cases": [case["case"] for case in mine],
        "distances": distances(made, real) if real else None,
        "among_real": among(real),
    }
    return record, made, real


def _summary(samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {
        "count": len(samples),
        "classes": {name: float(np.mean([s["classes"][name] for s in samples])) for name in CLASSES_HU},
        "projections": {name: float(np.mean([s["projections"][name] for s in samples])) for name in _PROJECTIONS},
        "histogram": np.round(np.mean([s["histogram"] for s in samples], axis=0), 6).tolist(),
        "log10_spectrum": np.round(np.mean([s["spectrum"] for s in samples], axis=0), 4).tolist(),
    }


def draw(results: dict[str, tuple[dict[str, Any], list, list]], size: int, path: Path) -> None:
    """Draws histograms, spectra and projections' statistics, a row per anatomy; thin lines are single volumes."""
    figure = Figure(figsize=(12, 2.5 * len(results)), layout="constrained", dpi=90)
    canvas = FigureCanvasAgg(figure)
    rows = figure.subplots(len(results), 3, squeeze=False)
    centres = 0.5 * (EDGES_HU[1:] + EDGES_HU[:-1])
    for (anatomy, (_, made, real)), axes in zip(results.items(), rows):
        frequency = spectrum(np.zeros((size,) * 3), grid_of(anatomy, size).voxel_mm[0])[0]
        for colour, label, samples in (("tab:blue", "generated", made), ("tab:orange", "real", real)):
            for s in samples:
                axes[0].plot(centres, 100 * s["histogram"], color=colour, lw=0.4, alpha=0.35)
                axes[1].plot(frequency, s["spectrum"], color=colour, lw=0.4, alpha=0.35)
                axes[2].plot(s["projections"]["mean"], s["projections"]["gradient"], ".", color=colour, ms=5, alpha=0.6)
            if samples:
                mean = np.mean([s["histogram"] for s in samples], axis=0)
                axes[0].plot(centres, 100 * mean, color=colour, lw=1.8, label=f"{label} ({len(samples)})")
                axes[1].plot(frequency, np.mean([s["spectrum"] for s in samples], axis=0), color=colour, lw=1.8)
        axes[0].set(yscale="log", ylim=(3e-3, 60), xlabel="HU", ylabel=f"{anatomy}\n% of the body")
        axes[0].legend(fontsize=7)
        axes[1].set(xlabel="cycles per mm", ylabel="log10 power (HU² mm³)")
        axes[2].set(xlabel="mean of projections", ylabel="spread of gradient, 1/mm")
    canvas.draw()
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", pil_kwargs={"optimize": True})


def table(records: dict[str, dict[str, Any]]) -> str:
    """The distances as Markdown, those of projections last; in brackets those among the real CTs."""
    head = "| anatomy | generated, real | HU histogram, HU | spectrum, dB | mean, % | spread, % | gradient, % |"
    lines = [head, "|---|---|---|---|---|---|---|"]
    for anatomy, record in records.items():
        count = f"{record['generated']['count']}, {record['real']['count'] if record['real'] else 0}"
        cells = []
        for name, form in (
            ("histogram_hu", "{:.0f}"),
            ("spectrum_db", "{:.1f}"),
            *((f"projections_{n}_percent", "{:+.0f}") for n in _PROJECTIONS),
        ):
            own, others = record["distances"], record["among_real"]
            text = form.format(own[name]) if own else "-"
            cells.append(text + (f" ({form.replace('+', '').format(others[name])})" if own and others else ""))
        lines.append(f"| {anatomy} | {count} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, draws and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, required=True, help="folder of real CTs")
    parser.add_argument("--output", type=Path, default=Path("docs/anatomies"))
    parser.add_argument("--anatomies", nargs="*", default=list(ANATOMIES))
    parser.add_argument("--count", type=int, default=12, help="generated volumes of each anatomy")
    parser.add_argument("--size", type=int, default=96, help="voxels a side")
    parser.add_argument("--views", type=int, default=6)
    chosen = parser.parse_args(arguments)
    cases = real_cases(chosen.real)
    chosen.output.mkdir(parents=True, exist_ok=True)
    results = {}
    for anatomy in chosen.anatomies:
        results[anatomy] = compare(anatomy, cases, chosen.count, chosen.size, chosen.views)
        print(f"{anatomy}: {chosen.count} generated, {len(results[anatomy][2])} real", flush=True)
    records = {anatomy: record for anatomy, (record, _, _) in results.items()}
    write_json({"histogram_edges_hu": EDGES_HU.tolist(), "anatomies": records}, chosen.output / "statistics.json")
    draw(results, chosen.size, chosen.output / "statistics.png")
    print(table(records))


if __name__ == "__main__":
    main()
