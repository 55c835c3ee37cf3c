"""Checking what a command line gives against what a function takes, before any work is done."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bundle.errors import InputError
from bundle.yaml_text import parse_yaml

__all__ = ["check_arguments", "check_flags", "is_true", "parse_device", "read_mapping"]

_DEVICES = ("cpu", "cuda", "mps", "xpu")
_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text", type(None): "nothing"}


def check_arguments(function: Callable, arguments: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """Compares values with a function's annotations.

    Text is taken for what it is where numbers stand for text, such as a folder named 7.

    Args:
        function: whose parameters are given.
        arguments: values by name.
        name: what to name in messages before the parameter's name.

    Returns:
        The values, with numbers made text or floating where that is what the parameter takes.

    Raises:
        InputError: naming the first value of another type.
    """
    target = function.__init__ if inspect.isclass(function) else function
    kinds = typing.get_type_hints(target)
    checked = {}
    for key, value in arguments.items():
        fits, converted = _fit(value, kinds.get(key, Any))
        if not fits:
            raise InputError(f"{name} {key}".strip(), f"is {value!r}.", f"Give {_describe(kinds[key])}.")
        checked[key] = converted
    return checked


def check_flags(command: Callable, words: Sequence[str]) -> None:
    """Refuses flags that a command does not have, before it runs.

    Raises:
        InputError: naming the flag.
    """
    known = list(inspect.signature(command).parameters)
    for word in words:
        flag = word[2:].split("=")[0].replace("-", "_")
        if word.startswith("--") and flag not in (*known, "help", ""):
            raise InputError(
                f"--{flag}",
                f"is no option of {command.__name__}.",
                f"It has {', '.join(f'--{name}' for name in known)}; a method's own go into --options."
                if "options" in known
                else f"It has {', '.join(f'--{name}' for name in known)}.",
            )


def is_true(value: Any, name: str) -> bool:
    """A truth value, also as the text that a command line such as ``--resume false`` makes of it.

    Args:
        value: true or false.
        name: of the setting, for messages.

    Raises:
        InputError: when it is something else.
    """
    fits, made = _fit(value, bool)
    if not fits:
        raise InputError(name, f"is {value!r}.", f"Give {_NAMES[bool]}.")
    return made


def parse_device(name: str | None) -> Any:
    """The torch.device of a name; CUDA where there is one if None.

    Raises:
        InputError: when there is no such device here.
    """
    import torch

    if name is None:
        return torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in _DEVICES:  # "meta" computes nothing
            raise InputError("device", f"{name!r} is none to compute on.", f"Use {', '.join(_DEVICES)}.")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError("device", f"{name!r} is not available here.", "Use cpu, or leave it out.") from error
    return device


def read_mapping(given: Any, name: str) -> dict[str, Any]:
    """Names with values, as an argument gives them.

    Args:
        given: a mapping, or the text of one in YAML or JSON, as it comes from a command line; none if None.
        name: what to name in messages.

    Raises:
        InputError: when it is something else.
        ImportError: when it is text and pyyaml is missing.
    """
    value = {} if given is None else given
    example = 'Give names and values, as "{device: cpu}".'
    if isinstance(value, str):
        value = parse_yaml(value, name, f"{name} as text", example)
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise InputError(name, f"is {given!r}.", example)
    return dict(value)


def _fit(value: Any, kind: Any) -> tuple[bool, Any]:
    """Whether a value is of a kind, and the value as that kind."""
    origin, parts = typing.get_origin(kind) or kind, typing.get_args(kind)
    if kind is Any:
        return True, value
    if origin in (typing.Union, types.UnionType):
        found = [converted for fits, converted in (_fit(value, part) for part in parts) if fits]
        # A number stays one where that is allowed, too: text comes last.
        found.sort(key=lambda converted: (type(converted) is not type(value), isinstance(converted, str)))
        return bool(found), found[0] if found else value
    if kind in (None, type(None)):
        return value is None, value
    if kind is bool:
        if isinstance(value, str) and value.lower() in ("true", "false"):  # Python's own spelling is True
            return True, value.lower() == "true"
        return isinstance(value, bool), value
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool), value
    if kind is float:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        return fits, float(value) if fits else value
    if kind is str:
        fits = isinstance(value, (str, int, float)) and not isinstance(value, bool)
        return fits, str(value) if fits else value
    if origin in (Sequence, list, tuple):
        if not isinstance(value, (list, tuple)):
            return False, value
        made = [_fit(part, parts[0] if parts else Any) for part in value]
        return all(fits for fits, _ in made), [part for _, part in made]
    if origin in (Mapping, dict):
        return isinstance(value, Mapping), value
    return True, value


def _describe(kind: Any) -> str:
    origin, parts = typing.get_origin(kind) or kind, typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_describe(part) for part in parts if part is not type(None))
    if origin in (Sequence, list, tuple):
        return f'a list, each {_describe(parts[0])}, as "[1,2]"' if parts else "a list"
    if origin in (Mapping, dict):
        return 'names and values, as "{name: 1}"'
    return _NAMES.get(kind, str(kind))
