"""What a user types on the command line, as it is typed, where a command takes text.

Fire takes every word for Python, so that the file scan#2 becomes scan, the folder 2021_0401 a number, and None nothing.
"""

from __future__ import annotations

import inspect
import os
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bundle.errors import InputError

__all__ = ["check_given", "text_parsers"]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_PART = re.compile(r"""\s*(?:'([^']*)'|"([^"]*)"|([^,]+?))\s*(?:,|$)""")
_FLAG = re.compile(r"--?[A-Za-z]")


def text_parsers(function: Callable) -> dict[str, Callable[[str], Any]]:
    """What makes values of words, for the parameters of a function that take text by their annotations.

    A word is its own value, but for lists in brackets and plain numbers where a parameter takes these, too.
    """
    hints = typing.get_type_hints(function)
    kinds = {name: _members(hints.get(name, Any)) for name in inspect.signature(function).parameters}
    return {name: _parser(members) for name, members in kinds.items() if str in members or Sequence[str] in members}


def check_given(function: Callable, words: Sequence[str]) -> None:
    """Refuses flags for text that are not followed by any.

    Raises:
        InputError: naming the flag.
    """
    texts = text_parsers(function)
    for word, following in zip(words, [*words[1:], "-x"]):
        name, equals, value = word.removeprefix("--").partition("=")
        is_text = word.startswith("--") and name.replace("-", "_") in texts
        is_given = bool(value) if equals else bool(following) and not _FLAG.match(following)
        if is_text and not is_given:
            raise InputError(f"--{name}", "has no value.", "Give one after it.")


def _members(kind: Any) -> tuple[Any, ...]:
    """The kinds that an annotation allows."""
    return typing.get_args(kind) if not _is_generic(kind) and typing.get_args(kind) else (kind,)


def _is_generic(kind: Any) -> bool:
    return isinstance(typing.get_origin(kind), type) and issubclass(typing.get_origin(kind), (Sequence, Mapping))


def _parser(members: tuple[Any, ...]) -> Callable[[str], Any]:
    texts_in_lists = Sequence[str] in members
    lists = any(typing.get_origin(kind) is Sequence for kind in members)

    def parse(word: str) -> Any:
        if float in members and _NUMBER.fullmatch(word):
            return float(word)
        if lists and word.startswith("[") and word.endswith("]") and not os.path.lexists(word):
            from fire.parser import DefaultParseValue

            return (
                [_first_group(part) for part in _PART.finditer(word[1:-1])]
                if texts_in_lists
                else (DefaultParseValue(word))
            )
        return word

    return parse


def _first_group(match: re.Match) -> str:
    return next(text for text in match.groups() if text is not None)
