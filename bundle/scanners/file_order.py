"""The order of files by the numbers in their names: counters, or angles with signs and decimals."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from pathlib import Path

from bundle.errors import InputError

__all__ = ["in_order"]

_DECIMAL = re.compile(r"(?<![0-9])(?<![0-9][.,])([0-9]+)[.,]([0-9]+)(?:e[+-]?[0-9]+)?(?![0-9]|[.,][0-9])")
_HYPHEN_AFTER_NAME = re.compile(r"(?<=[A-Za-z0-9])[-\u2212](?=[0-9])")
_SIGN_ALONE = r"(?:(?<![A-Za-z0-9])[-+\u2212])?"
_SIGN_ANYWHERE = r"(?:(?<![0-9])[-+\u2212])?"
_LIST_THEM = "Name the files one by one, in the order of the views."


def in_order(source: object, files: Sequence[Path]) -> list[Path]:
    """Sorts files by their names, numbers by their value (view2 before view10, -180.0 before -30.0 before 0.25).

    A hyphen before a number is a sign where no letter or digit stands before it, or where only some names have one;
    otherwise it joins, as in view-2. A point or comma between digits begins decimals, unless there are several or
    what follows counts on (1.9, 1.10).

    Args:
        source: folder to name in the message.
        files: its files.

    Returns:
        The files in order.

    Raises:
        InputError: when the names can be read in several orders.
    """
    names = [path.name for path in files]
    number = re.compile(f"({_sign(names)}{_digits(source, names)})")
    keys = {path: _key(number, path.name) for path in files}
    ordered = sorted(files, key=lambda path: (keys[path], path.name))
    for one, other in itertools.pairwise(ordered):
        if keys[one] == keys[other]:
            raise InputError(source, f"has {one.name} and {other.name}, the order of which is not clear.", _LIST_THEM)
    return ordered


def _sign(names: Sequence[str]) -> str:
    joined = [bool(_HYPHEN_AFTER_NAME.search(name)) for name in names]
    return _SIGN_ANYWHERE if any(joined) and not all(joined) else _SIGN_ALONE


def _digits(source: object, names: Sequence[str]) -> str:
    """Pattern of what follows a sign: whole numbers, or decimals where the names have them."""
    found = [match for name in names for match in _DECIMAL.finditer(name)]
    fractions = {match.group(2) for match in found}
    if len({len(fraction) for fraction in fractions}) > 1:
        if any(len(fraction) > 1 and fraction.endswith("0") for fraction in fractions):
            return "[0-9]+"  # programs write 1.1, or 1.10 beside 1.90: this counts on after 1.9
        if len({match.group(1) for match in found}) == 1:
            told = sorted(match.group(0) for match in found)
            raise InputError(
                source, f"has names with {told[0]} and {told[-1]}: are these decimals or counted?", _LIST_THEM
            )
    return f"(?:{_DECIMAL.pattern}|[0-9]+)" if found else "[0-9]+"


def _key(number: re.Pattern[str], name: str) -> list[tuple[float, str]]:
    """Texts and the values of numbers in turn."""
    key, end = [], 0
    for match in number.finditer(name):
        value = match.group(0).replace(",", ".").replace("\u2212", "-")
        key += [(0.0, name[end : match.start()]), (float(value), "")]
        end = match.end()
    return [*key, (0.0, name[end:])]
