"""The folder of a prepared set: that it is the right one, and what all runs on it must agree on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bundle.atomic import PARTIAL_PREFIX, check_output
from bundle.errors import InputError, told_changes
from bundle.json_files import read_json_object, write_json
from bundle.optional import require
from bundle.preparation.splits import SECTIONS, Split

__all__ = ["check_folders", "claim", "is_own_split", "locked"]

_SETTINGS, _SPLIT = "prepare.json", "split.json"


def check_folders(source: Path, output: Path) -> None:
    """Refuses an output that cannot or must not be written to.

    Args:
        source: folder of the raw data set, absolute and without links.
        output: folder of the prepared set, in the same form.

    Raises:
        InputError: when one folder is inside the other, or the output is not writable, or neither empty nor a
            prepared set.
    """
    for inner, outer, name in ((output, source, "the source"), (source, output, "the output")):
        if inner.is_relative_to(outer):
            raise InputError(inner, f"is inside {name} {outer}.", "Choose an output folder beside the source.")
    check_output(output / _SETTINGS, overwrite=True)
    if output.is_dir():
        others = sorted(
            path.name
            for path in output.iterdir()
            if path.name != ".locks" and not path.name.startswith(PARTIAL_PREFIX)  # a run killed before its settings
        )
        if others and not (output / _SETTINGS).is_file():  # after the listing: another first run may just write it
            raise InputError(
                output, f"is not empty and no prepared set: it has {others[0]}.", "Choose a new or empty folder."
            )


def is_own_split(path: str | os.PathLike, output: Path) -> bool:
    """Whether a file is the split of a prepared set."""
    return Path(path).resolve() == (output / _SPLIT).resolve()


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Keeps other runs from the files that describe the whole set."""
    filelock = require("filelock", "filelock", "preparing data sets")
    (output / ".locks").mkdir(parents=True, exist_ok=True)
    with filelock.FileLock(output / ".locks" / ".set.lock"):
        yield


def claim(output: Path, settings: Mapping[str, Any], split: Split) -> None:
    """Writes a new set's settings and split, or compares with those of the runs before.

    Args:
        output: folder of the prepared set.
        settings: plain values that decide the contents.
        split: the split.

    Raises:
        InputError: when settings or split differ from those of the runs before.
    """
    with locked(output):
        known = read_json_object(output / _SETTINGS)
        if known is None:
            write_json(settings, output / _SETTINGS)
        else:
            _compare_settings(known, settings, output)
        planned = {
            **{name: list(split.sections[name]) for name in SECTIONS},
            "checksum": split.checksum,
            "rule": split.rule,
        }
        before = read_json_object(output / _SPLIT)
        if before is None or not any(before.get(name) for name in SECTIONS):  # no case had been found then
            write_json(planned, output / _SPLIT)
        else:
            _compare_splits(before, split, output)


def _compare_settings(known: Mapping[str, Any], settings: Mapping[str, Any], output: Path) -> None:
    changed = told_changes(known, settings)
    if changed:
        raise InputError(
            output, f"was prepared with other settings: {changed}.", "Give the same, or choose another output."
        )


def _compare_splits(before: Mapping[str, Any], split: Split, output: Path) -> None:
    earlier = {case: name for name in SECTIONS for case in before.get(name, [])}
    now = split.section_by_case()
    if earlier == now:
        return
    more, fewer = sorted(now.keys() - earlier.keys()), sorted(earlier.keys() - now.keys())
    moved = sorted(case for case in now.keys() & earlier.keys() if now[case] != earlier[case])
    found = [
        f"{len(cases)} cases {kind}, such as {cases[0]}"
        for cases, kind in ((more, "more"), (fewer, "fewer"), (moved, "in other sections"))
        if cases
    ]
    raise InputError(
        output,
        f"was prepared with another split: now there are {'; '.join(found)}.",
        f"Keep the earlier one with --split {output / _SPLIT}, or choose another output.",
    )
