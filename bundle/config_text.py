"""Text from outside as a setting of MONAI's configurations."""

from __future__ import annotations

import os

__all__ = ["literal"]


def literal(text: str | os.PathLike) -> str:
    """The setting whose value is this text, even where it looks like an expression, a reference or a macro."""
    return "$" + repr(os.fspath(text)).replace("@", r"\x40").replace("%", r"\x25").replace("#", r"\x23")
