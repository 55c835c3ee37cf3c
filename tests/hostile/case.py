"""One hostile input, and what may become of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["EITHER", "REFUSED", "SAME", "Case"]

REFUSED = "refused"
"""It contradicts itself or a rule: only a refusal is right."""

SAME = "same"
"""It is damaged, and a checksum or its structure tells: refused, or read as if it were sound."""

EITHER = "either"
"""Nothing tells whether it is meant: refused or accepted, but cleanly."""


@dataclass(frozen=True)
class Case:
    """A hostile input.

    Args:
        reader: the sound input that it is made from, a key of COMMANDS.
        name: what is wrong.
        make: changes the folder of sound input.
        right: REFUSED, SAME or EITHER.
        command: instead of the reader's.
    """

    reader: str
    name: str
    make: Callable[[Path], None]
    right: str = REFUSED
    command: tuple[str, ...] = ()
