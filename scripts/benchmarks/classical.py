"""Times classical reconstruction by this package and by RTK."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch

from bundle.classical import make_method
from bundle.projector import BACKENDS
from scripts.benchmarks.measuring import DEVICE, fastest
from scripts.benchmarks.projector import scan
from scripts.benchmarks.result import Column, PartResult, Settings, Table, seconds_text

__all__ = ["measure_classical"]


def measure_classical(settings: Settings) -> PartResult:
    """FDK and SART; RTK's run on the CPU alone."""
    rows, size, views = [], settings.size, settings.views
    engines = ["own"] + ["rtk"] * (BACKENDS["rtk"].unavailable(torch.device("cpu")) is None)
    for name, count, options in (("fdk", max(views), {}), ("sart", min(views), {"iterations": 1})):
        geometry = scan(count, size, 2 * np.pi)
        projections = torch.rand(1, count, size, size, device=DEVICE)
        cases = {engine: partial(make_method(name, engine, **options), projections, geometry) for engine in engines}
        timed = fastest(cases, settings.repeats)
        case = f"{name}, {count} views of {size}² to {size}³" + (", one pass" if name == "sart" else "")
        for engine, cost in timed.items():
            row = {"case": case, "engine": engine, **cost._asdict()}
            if "rtk" in timed:
                row["time_to_rtk_ratio"] = cost.seconds / timed["rtk"].seconds
            rows.append(row)
    columns = [
        Column("case", "case"),
        Column("engine", "engine"),
        Column("time", "seconds", seconds_text),
        Column("time / rtk", "time_to_rtk_ratio", "{:.2f}".format),
    ]
    return PartResult({"views": views, "size": size, "repeats": settings.repeats}, {"classical": Table(rows, columns)})
