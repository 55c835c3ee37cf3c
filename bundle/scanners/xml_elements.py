"""XML files of other tools, checked before RTK reads them: its own readers accept damaged ones."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

import numpy as np

from bundle.errors import InputError

__all__ = ["element_name", "element_number", "parse_xml"]

_LARGEST_BYTES = 200_000_000
_DEEPEST = 50  # elements in each other; geometries have fewer than ten
_LARGEST_ANGLE_DEG = 36_000.0


def parse_xml(path: Path) -> ElementTree.Element:
    """The root element of a well-formed file without entities of its own.

    Raises:
        InputError: when the file is missing, is no XML, nests its elements deeply, or declares entities, which could
            expand without limit.
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
    depth = 0

    def enter(*_: object) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise InputError(path, f"has more than {_DEEPEST} elements in each other.", "Give a scan's geometry.")

    def leave(_: str) -> None:
        nonlocal depth
        depth -= 1

    entities.StartElementHandler, entities.EndElementHandler = enter, leave
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
        InputError: when it holds anything else, or is an angle of more than a hundred turns.
    """
    text = (element.text or "").strip()
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not np.isfinite(number) or len(element):
        raise InputError(
            path,
            f"has {element_name(element)} = {text[:40]!r}{where}.",
            "Write a finite number, with a point before decimals.",
        )
    if "angle" in element_name(element).lower() and abs(number) > _LARGEST_ANGLE_DEG:
        raise InputError(path, f"has {element_name(element)} = {number:g}{where}.", "Give degrees.")
    return number
