"""The one exception that tells a user what is wrong with an input and how to mend it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

__all__ = ["InputError", "error_chain", "find_input_error", "install_command_line_hook", "naming", "told_changes"]


class InputError(ValueError):
    """Input that cannot be used: a file, a configuration value or an argument.

    The message names the file or key first, then the problem, then the remedy.

    Args:
        source: file, configuration key or argument at fault.
        problem: what is wrong with it.
        remedy: what the user can do about it.
    """

    def __init__(self, source: object, problem: str, remedy: str) -> None:
        super().__init__(" ".join(f"{source}: {problem} {remedy}".split()))
        self.source = str(source)
        self.problem = problem
        self.remedy = remedy

    def __reduce__(self):
        return type(self), (self.source, self.problem, self.remedy)


@contextmanager
def naming(source: object) -> Iterator[None]:
    """Puts a file or case before the messages of input errors that do not name it themselves."""
    try:
        yield
    except InputError as error:
        if str(source) in error.source:
            raise
        raise InputError(source, f"{error.source} {error.problem}", error.remedy) from error


def find_input_error(error: BaseException | None) -> InputError | None:
    """Returns the :class:`InputError` in a chain of exceptions, if there is one.

    MONAI wraps what transforms and configured components raise, so the message that matters is often the cause of
    the exception that surfaces. Data-loading workers send the text of an exception alone, so texts are searched, too.
    """
    for part in error_chain(error):
        if isinstance(part, InputError):
            return part
        told = re.search(r"^bundle\.errors\.InputError: (.+?): (.+)$", str(part), flags=re.MULTILINE)
        if told:
            return InputError(told.group(1), told.group(2), "")
    return None


def error_chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those behind it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def told_changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The entries that two records differ in, in words; empty if in none."""
    names = [*now, *(name for name in before if name not in now)]
    return "; ".join(
        f"{name} {before.get(name)!r} (now {now.get(name)!r})" for name in names if before.get(name) != now.get(name)
    )


def install_command_line_hook() -> None:
    """Makes a command-line run that ends in an :class:`InputError` print its message alone.

    Set the environment variable ``DEEPSPARSE_TRACEBACK=1`` to see the whole traceback.
    """
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        found = find_input_error(error)
        if found is None or os.environ.get("DEEPSPARSE_TRACEBACK"):
            previous(kind, error, trace)
        else:
            print(f"error: {found}", file=sys.stderr)

    sys.excepthook = hook
