"""Structures as a user names them: the values that they have in label maps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from bundle.errors import InputError
from bundle.yaml_text import compose_yaml

__all__ = ["parse_structures"]

_EXAMPLE = 'Give names and values, such as "{right lung: [12,13,14], left lung: [10,11]}".'
_QUOTE = "Give a name in letters, in quotation marks if need be."
_TEXT_TAG = "tag:yaml.org,2002:str"


def parse_structures(given: str | Mapping[str, Any], source: object = "structures") -> dict[str, tuple[int, ...]]:
    """Values in label maps by the name of the structure, in the order given.

    Args:
        given: a value or a list of values by name, also as YAML or JSON text. Underscores in names stand for spaces.
        source: what to name in messages.

    Raises:
        InputError: when it is something else or empty, a name is no text or given twice, or a value is no whole number
            from 1 on or given twice.
        ImportError: when it is text and pyyaml is missing.
    """
    if isinstance(given, str):
        entries = list(_read(given, source))
    else:
        entries = list(given.items()) if isinstance(given, Mapping) else []
    if not entries:
        raise InputError(source, f"is {given!r}.", _EXAMPLE)
    parsed: dict[str, tuple[int, ...]] = {}
    owner: dict[int, str] = {}
    for key, numbers in entries:
        name = " ".join(key.replace("_", " ").split()) if isinstance(key, str) else ""
        if not name:
            raise InputError(source, f"has the name {key!r}, which is no text.", _QUOTE)
        if name in parsed:
            raise InputError(source, f"has the name {key!r} twice.", "Give each structure a name of its own.")
        values = list(numbers) if isinstance(numbers, Sequence) and not isinstance(numbers, str) else [numbers]
        if not values or not all(type(value) is int and value >= 1 for value in values):
            raise InputError(f"{source} {name}", f"has the values {numbers!r}.", "Give whole numbers from 1 on.")
        for value in values:
            if value in owner:
                raise InputError(
                    f"{source} {name}", f"has the value {value}, as {owner[value]} has.", "Give each value once."
                )
            owner[value] = name
        parsed[name] = tuple(values)
    return parsed


def _read(text: str, source: object) -> Iterator[tuple[Any, Any]]:
    """Names and values of a text, as they are written: 012 is no number."""
    root = compose_yaml(text, source, "Naming structures as text", _EXAMPLE)
    if root is None or root.id != "mapping":
        raise InputError(source, f"is {text!r}.", _EXAMPLE)
    for key, value in root.value:
        listed = value.id == "sequence"
        numbers = [_number(node) for node in (value.value if listed else [value])]
        if key.tag != _TEXT_TAG:  # such as true, 1 or ~
            raise InputError(source, f"has the name {_told(key)!r}, which is no text.", _QUOTE)
        yield key.value, numbers if listed else numbers[0]


def _number(node: Any) -> Any:
    """A value: a whole number in plain decimal digits, or else the text that is written."""
    plain = isinstance(node.value, str) and getattr(node, "style", None) is None
    return int(node.value) if plain and re.fullmatch(r"0|-?[1-9][0-9]*", node.value) else _told(node)


def _told(node: Any) -> str:
    """A node as it is written, for messages."""
    return node.value if isinstance(node.value, str) else "a list or mapping"
