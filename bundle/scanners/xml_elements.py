"""XML files of other tools, checked before RTK reads them: its own readers accept damaged ones."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from bundle.errors import InputError

__all__ = ["element_name", "element_number", "parse_xml"]

_LARGEST_BYTES = 200_000_000


def parse_xml(path: Path) -> ElementTree.Element:
    """The root element of a well-formed file without entities of its own.

    Raises:
        InputError: when the file is missing, is no XML, or declares entities, which could expand without limit.
    """
    if not path.is_file():
        raise InputError(path, "does not exist, or is no file.", "Check the path.")
    if path.stat().st_size > _LARGEST_BYTES:
        raise InputError(path, "is too large for a geometry.", "Name the XML file of the geometry.")
    content = path.read_bytes()

    def refuse(*_: object) -> None:
        raise InputError(path, "declares XML entities.", "Replace them by their text.")

    entities = expat.ParserCreate()
    entities.EntityDeclHandler = refuse
    try:
        entities.Parse(content, True)
        return ElementTree.fromstring(content)
    except InputError:
        raise
    except (expat.ExpatError, ElementTree.ParseError, LookupError, ValueError) as error:  # or an unknown encoding
        raise InputError(path, f"is not readable as XML ({error}).", "Mend the file, or get another copy.") from error


def element_name(element: ElementTree.Element) -> str:
    """Name without a namespace."""
    return str(element.tag).rpartition("}")[2]


def element_number(path: Path, element: ElementTree.Element, where: str = "") -> float:
    """The finite number that an element holds.

    Raises:
        InputError: when it holds anything else.
    """
    text = (element.text or "").strip()
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not np.isfinite(number):
        raise InputError(
            path,
            f"has {element_name(element)} = {text[:40]!r}{where}.",
            "Write a finite number, with a point before decimals.",
        )
    return number
