"""Runs nnU-Net's own programs: ``python -m bundle.nnunet.programs nnUNetv2_train ...``.

They import torchvision, which needs help beside a PyTorch for CPUs (see bundle/torchvision_operators.py), and so do
the processes that they spawn. A spawned process imports the main module of its parent again, this one, so what is done
here on import is done there, too.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution

from bundle.errors import InputError
from bundle.torchvision_operators import ensure_torchvision

__all__ = ["main", "programs"]

ensure_torchvision()


def programs() -> dict[str, EntryPoint]:
    """nnU-Net's programs by name.

    Raises:
        ImportError: when nnU-Net is not installed.
    """
    try:
        found = distribution("nnunetv2").entry_points
    except PackageNotFoundError as error:
        raise ImportError("nnU-Net needs the package nnunetv2. Install it with: pip install nnunetv2") from error
    return {point.name: point for point in found if point.group == "console_scripts"}


def main(words: Sequence[str]) -> None:
    """Runs a program.

    Args:
        words: its name and its arguments.

    Raises:
        InputError: when there is no such program.
        ImportError: when nnU-Net is not installed.
    """
    known = programs()
    if not words or words[0] not in known:
        raise InputError(
            "program", f"is {words[0]!r}." if words else "is not given.", f"Give one of {', '.join(sorted(known))}."
        )
    sys.argv = list(words)  # where the programs read their arguments
    known[words[0]].load()()


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (InputError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
