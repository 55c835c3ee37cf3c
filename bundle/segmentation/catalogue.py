"""The segmenters by name."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from bundle.arguments import check_arguments, read_mapping
from bundle.errors import InputError
from bundle.segmentation.segmenter import Segmenter

__all__ = ["SEGMENTERS", "make_segmenter"]

SEGMENTERS: dict[str, tuple[str, str]] = {
    "lung_threshold": ("bundle.segmentation.threshold_lungs", "ThresholdLungs"),
    "lungmask": ("bundle.segmentation.lungmask", "LungMask"),
    "nnunet": ("bundle.nnunet.segmenter", "NNUNetSegmenter"),
    "monai_bundle": ("bundle.segmentation.monai_bundle", "MonaiBundleSegmenter"),
}
"""Module and class by name; a module is imported when its segmenter is made."""


def make_segmenter(name: str, options: Mapping[str, Any] | str | None = None, check_hu: bool = True) -> Segmenter:
    """A segmenter by name, ready to use.

    Args:
        name: one of SEGMENTERS.
        options: the segmenter's own, such as weights; also as YAML text.
        check_hu: refuse volumes whose values cannot be HU, unless the options say otherwise.

    Raises:
        InputError: when name or an option is unknown, missing or invalid, or weights are.
        ImportError: when the segmenter's package is missing.
    """
    if not isinstance(name, str) or name not in SEGMENTERS:
        raise InputError("segmenter", f"is {name!r}.", f"Use one of {', '.join(SEGMENTERS)}.")
    module, class_name = SEGMENTERS[name]
    made = getattr(importlib.import_module(module), class_name)
    given = {"check_hu": check_hu, **read_mapping(options, "segmenter_options")}
    known = inspect.signature(made).parameters
    unknown = sorted(map(str, set(given) - set(known)))
    if unknown:
        raise InputError(
            "segmenter_options",
            f"has {', '.join(unknown)}, which {name} does not take.",
            f"It takes {', '.join(known)}.",
        )
    missing = [key for key, parameter in known.items() if parameter.default is parameter.empty and key not in given]
    if missing:
        raise InputError(
            "segmenter_options",
            f"lacks {', '.join(missing)}, which {name} needs.",
            f"Give segmenter_options.{missing[0]}.",
        )
    return made(**check_arguments(made, given, "segmenter_options"))
