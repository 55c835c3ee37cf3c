"""The one exception that tells a user what is wrong with an input and how to mend it."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType
from typing import Any

__all__ = [
    "INSTALLED_AS",
    "InputError",
    "MissingPackageError",
    "ending_in_one_line",
    "error_chain",
    "find_input_error",
    "install_command_line_hook",
    "naming",
    "told_changes",
]

_INTERRUPTED = 130  # status that shells give a program that Ctrl-C ended
INSTALLED_AS = {
    "PIL": "pillow",
    "cv2": "opencv-python-headless",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "yaml": "pyyaml",
}
"""Names to install packages by, where they differ from the modules'."""


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


class MissingPackageError(InputError, ImportError):
    """A package that a task needs and that is not installed.

    Args:
        purpose: what needs it.
        module: module that is missing, or a package.
        reason: more about it.
    """

    def __init__(self, purpose: str, module: str, reason: str = "") -> None:
        package = INSTALLED_AS.get(module, module)
        super().__init__(purpose, f"needs the package {package}{reason}.", f"Install it with: pip install {package}")
        self.arguments = purpose, module, reason

    def __reduce__(self):
        return type(self), self.arguments


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
    Behind other libraries' exceptions a missing package is one as well.
    """
    part = None
    for part in error_chain(error):
        if isinstance(part, InputError):
            return part
        told = re.search(
            r"^bundle\.errors\.(?:InputError|MissingPackageError): (.+?): (.+)$", str(part), flags=re.MULTILINE
        )
        if told:
            return InputError(told.group(1), told.group(2), "")
    module = (part.name or "").split(".")[0] if isinstance(part, ModuleNotFoundError) else ""
    return MissingPackageError("this", module) if module not in ("", "bundle") else None


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


@contextmanager
def ending_in_one_line() -> Iterator[None]:
    """Ends the program with one line where input cannot be used (status 1), or Ctrl-C stopped it (status 130).

    Set the environment variable ``DEEPSPARSE_TRACEBACK=1`` to see the whole traceback.
    """
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        _end(error)
        raise


def install_command_line_hook() -> None:
    """Ends the program as :func:`ending_in_one_line` does, whatever runs in it."""
    previous = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        _end(error)
        previous(kind, error, trace)

    sys.excepthook = hook


def _end(error: BaseException) -> None:
    """Tells a user of an exception and ends the program; leaves those that are none of the user's."""
    if os.environ.get("DEEPSPARSE_TRACEBACK"):
        return
    found = find_input_error(error)
    if isinstance(error, KeyboardInterrupt):
        _tell("interrupted from the keyboard")
        sys.exit(_INTERRUPTED)
    if found is not None:
        _tell(f"error: {found}")
        sys.exit(1)


def _tell(line: str) -> None:
    """Writes a line of its own, below the bars of progress that are open."""
    for bar in list(getattr(getattr(sys.modules.get("tqdm"), "tqdm", None), "_instances", ())):
        bar.close()
    sys.stdout.flush()
    print(line, file=sys.stderr)
