"""MBIRJAX's reconstruction, in an environment of its own, behind the interface of this package's classical methods."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch

from bundle.errors import InputError
from bundle.geometry import ConeBeamGeometry
from scripts.outside.mbirjax_scan import mbirjax_scan, mbirjax_sinogram

__all__ = ["Mbirjax"]

_WORKER = Path(__file__).with_name("mbirjax_worker.py")


class Mbirjax:
    """A process that runs MBIRJAX, which compiles for a scan once; a context that ends it.

    Args:
        python: interpreter of an environment with mbirjax.

    Raises:
        InputError: when there is no such interpreter, or it lacks mbirjax.
    """

    def __init__(self, python: str | Path) -> None:
        self._folder = tempfile.TemporaryDirectory()
        command = [str(python), str(_WORKER)]
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        except OSError as error:
            raise InputError(
                f"mbirjax_python {python}", f"cannot be run ({error.strerror}).", "Name a Python interpreter."
            ) from None
        self.python = python
        answer = self._answer()
        if "error" in answer:
            self.close()
            raise InputError(
                f"mbirjax_python {python}",
                f"has no package mbirjax ({answer['error']}).",
                f"Install it with: {python} -m pip install mbirjax",
            )
        self.version: str = answer["version"]

    def __enter__(self) -> Mbirjax:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._folder.cleanup()

    def project(self, volume: np.ndarray, geometry: ConeBeamGeometry) -> np.ndarray:
        """Line integrals [views, V, U] in value times mm of a volume [x, y, z]."""
        sinogram, _ = self._ask("project", volume, geometry)
        return mbirjax_sinogram(sinogram, geometry)

    def reconstruct(
        self,
        projections: torch.Tensor,
        geometry: ConeBeamGeometry,
        parameters: Mapping[str, Any],
        options: Mapping[str, Any],
    ) -> tuple[torch.Tensor, float]:
        """A volume by its qGGMRF prior.

        Args:
            projections: [1, views, V, U] line integrals in value times mm.
            geometry: the scan.
            parameters: of its model, such as sharpness.
            options: of its recon, such as max_iterations.

        Returns:
            [1, 1, X, Y, Z], and the seconds without compilation.
        """
        sinogram = mbirjax_sinogram(projections[0].numpy(), geometry)
        volume, seconds = self._ask(
            "reconstruct", sinogram, geometry, parameters=dict(parameters), options=dict(options)
        )
        return torch.from_numpy(volume)[None, None], seconds

    def _ask(self, task: str, data: np.ndarray, geometry: ConeBeamGeometry, **more: Any) -> tuple[np.ndarray, float]:
        given, made = (str(Path(self._folder.name) / name) for name in ("input.npy", "output.npy"))
        np.save(given, np.ascontiguousarray(data, dtype=np.float32))
        request = {"task": task, "input": given, "output": made, "scan": mbirjax_scan(geometry), **more}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        if "error" in answer:
            raise InputError("MBIRJAX", f"failed ({answer['error']}).", "Check the scan and its parameters.")
        return np.load(made), answer["seconds"]

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline()
        if not line:
            raise InputError(
                "MBIRJAX", f"ended with exit status {self._process.wait()}.", "Its messages are above this one."
            )
        return json.loads(line)
