"""Sound files with options that ask for the impossible."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.hostile.case import EITHER, REFUSED, Case
from tests.hostile.sound import COMMANDS

__all__ = ["argument_cases"]

SIMULATE = {
    "num_views": ["0", "-3", "1000000000", "4.5", "many", "[1,2]", "nan"],
    "volume_shape": ["[0,24,24]", "[-1,2,3]", "[5000,5000,5000]", "[24,24]", "24", "[1e9,1,1]", "[a,b,c]"],
    "detector_shape": ["[0,24]", "[-1,4]", "[200000,200000]", "[24]", "none"],
    "photons": ["0", "-1", "nan", "inf", "few"],
    "preset": ["unknown", "[]", "../luna16", "1"],
    "device": ["cuda:99", "meta", "quantum", "7"],
    "output": ["in/ct.nii", "out", "out/scan.txt", "/proc/scan.npz", "in/ct.nii/scan.npz"],
    "depth": ["7"],
}
RECONSTRUCT = {
    "method": ["unknown", "[fdk]", ""],
    "output_shape": ["[2000,2000,2000]", "[0,1,1]", "[-4,4,4]", "[1e6,1,1]", "[4]", "x"],
    "options": [
        *("{iterations: 1000000000}", "{unknown: 1}", "[1]", "{hann_cut: -1}", "{hann_cut: nan}", "{", "{a: {b: c}}"),
    ],
    "output": ["in/scan.npz", "out/v.jpg", "out", "/dev/full"],
    "output_format": ["jpeg", "7"],
    "photons": ["0", "-5", "nan"],
    "device": ["cuda:99"],
}
PREPARE = {
    "workers": ["0", "-1", "100000", "two"],
    "dataset": ["unknown", ""],
    "output": ["in/cts", "in/cts/set", "in/ct.nii"],
    "preset": ["unknown"],
    "spacing": ["1"],
}
TRAIN = {
    "max_epochs": ["-1", "0", "1.5", "many", "1e12"],
    "learning_rate": ["-1", "nan", "fast"],
    "max_epoch": ["3"],
    "codes": ["0", "-4", "1000000000"],
    "points_per_volume": ["0", "-1", "10000000000"],
    "batch_size": ["0", "-1", "100000000"],
    "num_sparse": ["0", "-2", "1000"],
    "low_resolution": ["0", "5000"],
    "dataset_dir": ["absent", "in/ct.nii", "in/cts"],
    "preset": ["unknown"],
    "initial_weights": ["absent.pt", "in/ct.nii"],
}


def argument_cases() -> Iterator[Case]:
    """Each option with each of its values, after the reader's own arguments."""
    tables = {"ct.nii": SIMULATE, "scan.npz": RECONSTRUCT, "split.json": PREPARE, "training": TRAIN}
    for reader, table in tables.items():
        for option, values in table.items():
            for value in values:
                command = _with(COMMANDS[reader], option, value)
                right = EITHER if (option, value) in HARMLESS else REFUSED
                yield Case(reader, f"{command[1]} --{option} {value}", _nothing, right, command)


HARMLESS = {("num_views", "nan"), ("preset", "1"), ("workers", "100000"), ("output_shape", "[1e6,1,1]")}


def _with(command: list[str], option: str, value: str) -> tuple[str, ...]:
    """The command with an option set, in place of the one that it has."""
    made = list(command)
    if f"--{option}" in made:
        made[made.index(f"--{option}") + 1] = value
    else:
        made += [f"--{option}", value]
    return tuple(made)


def _nothing(folder: Path) -> None:
    """The files stay sound."""
