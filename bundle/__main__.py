"""Command line of the bundle: ``python -m bundle VERB --source ... --output ...``."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

from bundle.arguments import check_arguments, check_flags
from bundle.commands import COMMANDS
from bundle.errors import find_input_error


def main() -> None:
    """Runs one command; input that cannot be used ends it with one message and exit status 1."""
    import fire

    try:
        if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
            check_flags(COMMANDS[sys.argv[1]], sys.argv[2:])
        fire.Fire({verb: _checked(command) for verb, command in COMMANDS.items()}, name="bundle")
    except Exception as error:
        found = find_input_error(error)
        if found is None:
            raise
        print(f"error: {found}", file=sys.stderr)
        sys.exit(1)


def _checked(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its arguments' types checked."""

    @functools.wraps(command)
    def checked(*values: Any, **named: Any) -> None:
        arguments = inspect.signature(command).bind(*values, **named).arguments
        command(**check_arguments(command, arguments))

    return checked


if __name__ == "__main__":
    main()
