"""Command line of the bundle: ``python -m bundle VERB --source ... --output ...``."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from typing import Any

from bundle.errors import ending_in_one_line


def main() -> None:
    """Runs one command; input that cannot be used ends it with one message and exit status 1."""
    with ending_in_one_line():
        import fire  # within, since imports take seconds in which a user may stop the command

        from bundle.arguments import check_flags
        from bundle.commands import COMMANDS
        from bundle.typed_text import check_given

        if len(sys.argv) > 1 and sys.argv[1] in COMMANDS:
            for check in (check_flags, check_given):
                check(COMMANDS[sys.argv[1]], sys.argv[2:])
        fire.Fire({verb: _checked(command) for verb, command in COMMANDS.items()}, name="bundle")


def _checked(command: Callable[..., None]) -> Callable[..., None]:
    """The command with its arguments' types checked, and its texts as they are typed."""
    from fire.decorators import SetParseFns

    from bundle.arguments import check_arguments
    from bundle.typed_text import text_parsers

    @functools.wraps(command)
    def checked(*values: Any, **named: Any) -> None:
        arguments = inspect.signature(command).bind(*values, **named).arguments
        command(**check_arguments(command, arguments))

    return SetParseFns(**text_parsers(command))(checked)


if __name__ == "__main__":
    main()
