"""The settings that come with weights from elsewhere: what describes a network and its scan, and nothing that runs."""

from __future__ import annotations

import difflib
import os
import re
import reprlib
from collections.abc import Mapping
from typing import Any

from bundle.errors import InputError
from bundle.json_files import parse_json_object
from bundle.small_files import read_text

__all__ = ["NETWORK_SETTINGS", "check_network_settings", "check_network_sizes"]

_SIZES: dict[str, tuple[int, int]] = {
    "encoder_channels": (1, 4096),
    "encoder_blocks": (0, 64),
    "decoder_channels": (1, 4096),
    "decoder_blocks": (0, 64),
    "point_channels": (1, 8192),
    "codes": (1, 65536),
    "low_resolution": (1, 128),
    "denoise_blocks": (0, 64),
}
"""Whole numbers of a network, from and to."""
_LISTS = {"encoder_channels": (1, 8), "point_channels": (0, 16)}  # the shortest and the longest
_MOST_PARAMETERS = 10**9
_SCAN_SIZES = {"detector_shape": (2, 8192), "volume_shape": (3, 2048)}  # numbers, and the largest
_CHOICES = {
    "row_direction": (None, "+z", "-z"),
    "head": ("linear", "norm_act"),
    "low_resolution_grid": ("voxel_centre", "corner"),
    "output_grid": ("voxel_centre", "corner"),
    "projection_sampling": ("pixel_centre", "corner_aligned"),
}
_PRIOR = ("size", "method", "options", "channels", "blocks")

NETWORK_SETTINGS = ("preset", *_SCAN_SIZES, *_SIZES, *_CHOICES, "prior")
"""Settings of configs/inference.json that belong to weights."""

_REMEDY = (
    "Beside weights, numbers, texts and lists alone are read. What you trust can be given with --config, whose files "
    "can run code."
)


def check_network_settings(path: str | os.PathLike, source: object = None) -> None:
    """Refuses a configuration that does more than describe a network of a sensible size.

    Args:
        path: JSON file.
        source: what to name in messages; the path if None.

    Raises:
        InputError: when it is no JSON object, sets something else, or holds an expression, a reference, a component or
            a value that the setting cannot have.
    """
    source = path if source is None else source
    settings = parse_json_object(read_text(path), source, "Get another copy.")
    _check_names(source, settings, NETWORK_SETTINGS)
    for name, value in settings.items():
        if not _is_plain(value):
            raise InputError(source, f"has an expression or a component as {name}.", _REMEDY)
        expected = _expected(name, value)
        if expected:
            raise InputError(source, f"has {reprlib.repr(value)} as {name}.", f"Give {expected}.")
    _check_names(f"{source}, its prior", settings.get("prior") or {}, _PRIOR)
    _check_parameters(source, settings)


def check_network_sizes(settings: Mapping[str, Any]) -> None:
    """Refuses sizes that no network can have, before its memory is taken.

    Args:
        settings: encoder_channels and so on, by their names in the configurations.

    Raises:
        InputError: naming the first that cannot be, or when all together ask for too many weights.
    """
    for name, value in settings.items():
        expected = _expected(name, list(value) if isinstance(value, tuple) else value)
        if expected:
            raise InputError(name, f"is {reprlib.repr(value)}.", f"Give {expected}.")
    _check_parameters("network_def", settings)


def _check_names(source: object, given: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            meant = f" (is {near[0]} meant?)" if near else ""
            raise InputError(
                source,
                f"sets {name[:100]}, which does not describe a network{meant}.",
                f"Known are {', '.join(known)}. {_REMEDY}",
            )


def _expected(name: str, value: Any) -> str:
    """What a setting has to be, where the value is something else; empty if it fits."""
    if name in _CHOICES:
        shown = ", ".join("null" if choice is None else choice for choice in _CHOICES[name])
        return "" if value in _CHOICES[name] else f"one of {shown}"
    if name in _SCAN_SIZES:
        count, most = _SCAN_SIZES[name]
        fits = value is None or (isinstance(value, list) and len(value) == count and _within(value, 1, most))
        return "" if fits else f"{count} whole numbers from 1 to {most}, or null"
    if name == "preset":
        return "" if isinstance(value, str) else "the name of a preset"
    if name == "prior":
        return "" if value is None or isinstance(value, dict) else "the prior's settings, or null"
    low, high = _SIZES[name]
    if name in _LISTS:
        shortest, longest = _LISTS[name]
        fits = isinstance(value, list) and shortest <= len(value) <= longest and _within(value, low, high)
        return "" if fits else f"a list of up to {longest} whole numbers from {low} to {high}"
    return "" if _within([value], low, high) else f"a whole number from {low} to {high}"


def _within(values: list[Any], low: int, high: int) -> bool:
    return all(isinstance(value, int) and not isinstance(value, bool) and low <= value <= high for value in values)


def _check_parameters(source: object, settings: Mapping[str, Any]) -> None:
    """Compares a generous estimate of the weights' number with what any machine can hold."""

    def of(name: str, default: Any) -> Any:
        return settings.get(name, default)

    channels, points, width = of("encoder_channels", []), of("point_channels", []), of("decoder_channels", 0)
    per_scale = 2 * (of("encoder_blocks", 1) + of("denoise_blocks", 0) + 2)
    kernels = 27 * per_scale * sum(n * n for n in channels)
    kernels += 27 * 2 * (of("decoder_blocks", 1) + 2) * max(len(channels), 1) * width * width
    kernels += of("codes", 0) * 2 * sum(channels)
    inputs = [sum(channels) + width, *points]
    kernels += sum(a * b for a, b in zip(inputs, points))
    if kernels > _MOST_PARAMETERS:
        raise InputError(source, f"describes a network of up to {kernels:.1e} weights.", "Give smaller sizes.")


def _is_plain(value: Any) -> bool:
    """Whether MONAI takes a value for what it is."""
    if isinstance(value, str):
        return re.fullmatch(r"[\w+. -]*", value) is not None
    if isinstance(value, dict):
        return all(key.isidentifier() and not key.startswith("_") and _is_plain(part) for key, part in value.items())
    if isinstance(value, list):
        return all(_is_plain(part) for part in value)
    return True
