"""Serves MBIRJAX to a process of another environment: reads requests, one JSON object a line, and answers each so.

Run by scripts/outside/mbirjax_process.py; imports nothing of this package, which MBIRJAX's environment need not have.
A request names the "task" ("project" or "reconstruct"), an "input" (.npy), the "output" (.npy) to write, the "scan" of
mbirjax_scan.py, and for a reconstruction "parameters" for set_params and "options" for recon. The answer holds the
"seconds", or an "error".
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import sys
import time
from typing import Any

import numpy as np

_WARM_UP = 7  # iterations after which every partition was met once, and compiled


def main() -> None:
    """Answers until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever else is printed does not get between the answers
    try:
        import mbirjax
    except ImportError as error:
        answers.write(json.dumps({"error": str(error), "missing": True}) + "\n")
        return
    answers.write(json.dumps({"version": importlib.metadata.version("mbirjax")}) + "\n")
    models: dict[str, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"seconds": _serve(request, models, mbirjax)}
        except Exception as error:  # told to the process that asked, which ends
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")


def _serve(request: dict[str, Any], models: dict[str, Any], mbirjax: Any) -> float:
    key = json.dumps([request["task"], request["scan"]], sort_keys=True)
    data = np.load(request["input"])
    known = key in models
    if not known:
        models[key] = _model(request["scan"], mbirjax)
    model = models[key]
    if request["task"] == "project":
        start = time.perf_counter()
        result = np.asarray(model.forward_project(data))
    else:
        model.get_params(list(request["parameters"]))  # refuses names that set_params would take
        model.set_params(no_warning=True, auto_regularize_flag=True, **request["parameters"])
        options = {"logfile_path": None, "print_logs": False, **request["options"]}
        if not known:  # compiles
            model.recon(data, **{**options, "max_iterations": _WARM_UP, "stop_threshold_change_pct": 0.0})
        np.random.seed(0)  # the partitions are drawn with it
        start = time.perf_counter()
        result = np.asarray(model.recon(data, **options)[0])
    seconds = time.perf_counter() - start
    np.save(request["output"], result)
    return seconds


def _model(scan: dict[str, Any], mbirjax: Any) -> Any:
    arguments = {**scan["model"], "angles": np.array(scan["model"]["angles"], dtype=np.float32)}
    arguments["sinogram_shape"] = tuple(arguments["sinogram_shape"])
    parameters = {**scan["parameters"], "recon_shape": tuple(scan["parameters"]["recon_shape"])}
    model = mbirjax.ConeBeamModel(**arguments)
    model.set_params(no_warning=True, verbose=0, **parameters)
    return model


if __name__ == "__main__":
    main()
