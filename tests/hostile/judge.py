"""Runs hostile inputs, and judges what became of them."""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from tests.hostile.case import EITHER, SAME, Case
from tests.hostile.sandbox import Outcome, run_command
from tests.hostile.sound import COMMANDS

__all__ = ["Judge", "Judged"]


@dataclass(frozen=True)
class Judged:
    """A case, what became of it, and whether that is right.

    Args:
        case: the case.
        outcome: of its command.
        verdict: the outcome's, or "wrong" (accepted, but not sound), or "left files" (refused, but wrote).
    """

    case: Case
    outcome: Outcome
    verdict: str

    @property
    def right(self) -> bool:
        """Whether nobody need mend anything."""
        return self.verdict in ("accepted", "refused")


class Judge:
    """Runs cases in folders of their own.

    Args:
        sound: folder of sound input.
        work: folder to work in.
    """

    def __init__(self, sound: Path, work: Path) -> None:
        self.sound = sound
        self.work = work
        self._results: dict[str, str] = {}

    def run(self, case: Case) -> Judged:
        """Makes a case's input, runs its command, and removes both again."""
        folder = self.work / "case"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.sound, folder / "in")
        (folder / "out").mkdir()
        case.make(folder / "in")
        before = listing(folder / "in")
        outcome = run_command(case.command or COMMANDS[case.reader], folder)
        verdict = outcome.verdict
        written = listing(folder / "out") | (listing(folder / "in") ^ before)
        kept_rule = case.reader in KEEPS or not any(size for _, size in written)
        if (folder / "code_ran").exists() or (
            verdict == "accepted" and not self._may_be_accepted(case, folder / "out")
        ):
            verdict = "wrong"
        elif verdict == "refused" and not kept_rule:
            verdict = "left files"
        shutil.rmtree(folder)
        return Judged(case, outcome, verdict)

    def _may_be_accepted(self, case: Case, out: Path) -> bool:
        if case.right == SAME:
            return result(out) == self.sound_result(case.reader)
        return case.right == EITHER

    def sound_result(self, reader: str) -> str:
        """What the reader's command makes of sound input.

        Raises:
            RuntimeError: when it is refused.
        """
        if reader not in self._results:
            folder = self.work / "control"
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(self.sound, folder / "in")
            (folder / "out").mkdir()
            outcome = run_command(COMMANDS[reader], folder)
            if outcome.verdict != "accepted":
                raise RuntimeError(f"{reader}: sound input was {outcome.verdict}:\n{outcome.output}")
            self._results[reader] = result(folder / "out")
        return self._results[reader]


KEEPS = ("split.json", "patients.csv", "training", "set", "volumes.csv")
"""Readers whose commands write a record of what they did, also of what they refuse."""


def listing(folder: Path) -> set[tuple[str, int]]:
    """Files of a folder with their sizes."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {(str(path.relative_to(folder)), path.stat().st_size) for path in files}


def result(folder: Path) -> str:
    """Checksum of the values in the volumes, scans and weights of a folder, without their provenance."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        arrays: list = []
        if path.suffix == ".npz":
            content = np.load(path)
            arrays = [content[name] for name in content.files if name not in ("header", "checksum")]
        elif path.name.endswith(".nii.gz"):
            image = nib.load(path)
            arrays = [np.asarray(image.dataobj), image.affine]
        elif path.suffix == ".pt":
            arrays = [value.numpy() for value in torch.load(path).values() if torch.is_tensor(value)]
        for array in arrays:
            found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
