"""Plots as pieces of a page: SVG without anything that a browser would fetch."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from bundle.optional import require

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["Style", "inline_svg", "method_styles", "wide_enough"]

# Okabe and Ito's colours, which are told apart with any colour vision, the pale yellow left out.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = (("o", "●"), ("s", "■"), ("^", "▲"), ("D", "◆"), ("v", "▼"), ("P", "✚"), ("X", "✖"))
_SIZE_INCHES = (4.6, 3.0)
_TITLE_INCHES = 0.28
_MOST_TICKS = 4


class Style:
    """How a method is drawn everywhere.

    Args:
        position: of the method in the order of all.

    Attributes:
        colour: as CSS and matplotlib take it.
        marker: matplotlib's marker.
        sign: the same marker as a character.
    """

    def __init__(self, position: int) -> None:
        self.colour = _COLOURS[position % len(_COLOURS)]
        # Beyond seven methods the pairs of colour and marker still differ.
        self.marker, self.sign = _MARKERS[(position + position // len(_COLOURS)) % len(_MARKERS)]


def method_styles(methods: Sequence[str]) -> dict[str, Style]:
    """A colour and a marker for each method."""
    return {method: Style(position) for position, method in enumerate(methods)}


def wide_enough(values: Iterable[float], least: float, margin: float = 0.06) -> tuple[float, float]:
    """Limits of an axis that hold some values with a margin, and span no less than is worth telling apart.

    Args:
        values: one at least.
        least: smallest span.
        margin: share of the span that is left free at both ends.
    """
    values = list(values)
    low, high = min(values), max(values)
    half = max(high - low, least) * (0.5 + margin)
    return (low + high) / 2 - half, (low + high) / 2 + half


def inline_svg(
    draw: Callable[[Axes], None],
    name: str,
    alternative: str,
    left_inches: float = 0.55,
    right_inches: float = 0.1,
    bottom_inches: float = 0.45,
) -> str:
    """Draws one plot.

    Args:
        draw: fills the axes.
        name: letters, digits and hyphens that no other plot of the page has, for the names inside it.
        alternative: what the plot shows, for those who cannot see it.
        left_inches: room for the vertical axis, of 4.6 inches that the page scales.
        right_inches: room at the right.
        bottom_inches: room for the horizontal axis, of 3 inches.

    Returns:
        An svg element, the same for the same drawing.

    Raises:
        ImportError: when matplotlib is missing.
    """
    matplotlib = require("matplotlib", "matplotlib", "drawing the report")
    svg = require("matplotlib.backends.backend_svg", "matplotlib", "drawing the report")
    settings: dict[str, Any] = {
        "axes.axisbelow": True,
        "axes.edgecolor": "0.4",
        "axes.formatter.limits": (-6, 7),
        "axes.formatter.useoffset": False,
        "axes.grid": True,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": 10,
        "font.family": "DejaVu Sans",  # which matplotlib brings, so that every machine lays out alike
        "font.size": 9,
        "grid.color": "0.9",
        "svg.fonttype": "none",
        "svg.hashsalt": name,
        "text.parse_math": False,
    }
    width, height = _SIZE_INCHES
    margins = {  # measuring the letters instead would take longer than all else
        "left": left_inches / width,
        "right": 1 - right_inches / width,
        "bottom": bottom_inches / height,
        "top": 1 - _TITLE_INCHES / height,
    }
    stream = io.StringIO()
    with matplotlib.rc_context(settings):
        figure = require("matplotlib.figure", "matplotlib", "drawing the report").Figure(figsize=_SIZE_INCHES)
        svg.FigureCanvasSVG(figure)
        axes = figure.subplots(gridspec_kw=margins)
        axes.locator_params(nbins=_MOST_TICKS - 1)  # spaces between them
        draw(axes)
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return _embedded(stream.getvalue(), name, alternative)


def _embedded(document: str, name: str, alternative: str) -> str:
    """The svg element of a document as part of a page."""
    text = document[document.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", text, flags=re.DOTALL)
    opening = re.match(r"<svg[^>]*>", text)
    assert opening is not None
    box = re.search(r'viewBox="[^"]*"', opening.group())
    assert box is not None
    label = escape(alternative, quote=True)
    text = f'<svg {box.group()} role="img" aria-label="{label}">{text[opening.end() :]}'
    text = re.sub(r"(font: (?:[a-z]+ )*[\d.]+px) [^;\"]+", r"\1 'DejaVu Sans', Verdana, sans-serif", text)
    # The names inside a plot are those of the page.
    return re.sub(r'( id="|href="#|url\(#)', rf"\g<1>{name}-", text)
