"""Command line of the bundle: ``python -m bundle VERB --source ... --output ...``."""

from __future__ import annotations

import sys

from bundle.commands import COMMANDS
from bundle.errors import find_input_error


def main() -> None:
    """Runs one command; input that cannot be used ends it with one message and exit status 1."""
    import fire

    try:
        fire.Fire(COMMANDS, name="bundle")
    except Exception as error:
        found = find_input_error(error)
        if found is None:
            raise
        print(f"error: {found}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
