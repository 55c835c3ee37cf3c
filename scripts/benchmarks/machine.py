"""What a benchmark runs on and with."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from pathlib import Path

import torch

from scripts.benchmarks.measuring import DEVICE

__all__ = ["circumstances", "machine"]

_ROOT = Path(__file__).resolve().parent.parent.parent
_PACKAGES = ("torch", "numba", "triton", "itk-rtk", "monai", "astra-toolbox")


def circumstances() -> dict[str, str | int | dict[str, str]]:
    """Machine, threads, versions and commit: what figures must share to be compared."""
    return {
        "machine": torch.cuda.get_device_name()
        if DEVICE.type == "cuda"
        else f"{os.cpu_count()} cores of {_processor()}",
        "threads": torch.get_num_threads(),
        "versions": {"Python": platform.python_version(), **_versions()},
        "commit": _commit(),
    }


def machine() -> str:
    """Machine and versions in a sentence."""
    now = circumstances()
    python, *packages = (f"{name} {version}" for name, version in now["versions"].items())
    return f"{now['machine']}, {now['threads']} threads; {python}, {', '.join(packages)}."


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":")[1].strip()
    return platform.processor() or platform.machine()


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _commit() -> str:
    """The commit that is checked out, with a mark where files differ from it; "unknown" outside of git."""
    revision = _git("rev-parse", "--short=10", "HEAD")
    if revision is None:
        return "unknown"
    return f"{revision} with changes" if _git("status", "--porcelain", "--untracked-files=no") else revision


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(_ROOT), *arguments], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()
