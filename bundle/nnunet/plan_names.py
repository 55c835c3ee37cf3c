"""The names in plans.json by which nnU-Net finds code: each must lead to the kind of object that it stands for.

nnU-Net follows a dotted name through the attributes of modules, so that torch.nn.functional.torch.os.system leads to
the shell although it begins like one of PyTorch's layers. Here a name is a module and a class that this module has,
nothing between, and the class must have been written in a package that belongs to nnU-Net's networks.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bundle.errors import InputError
from bundle.optional import require

__all__ = ["check_architecture", "check_named_code"]

_PACKAGES = ("dynamic_network_architectures", "torch.nn")
_ARCHITECTURES = "dynamic_network_architectures.architectures"
_LAYERS = ("block", "bottleneck_block", "conv_op", "dropout_op", "nonlin", "norm_op", "pool_op")
"""Arguments of networks that are layers and that nnU-Net looks up by name."""
_REMEDY = "Give a model with one of nnU-Net's own networks, as nnUNetv2_train wrote it."
_FUNCTIONS = ("resampling_fn_data", "resampling_fn_seg", "resampling_fn_probabilities")


def check_architecture(architecture: Any, source: Path) -> dict[str, Any]:
    """The entry "architecture" of a configuration, with the full names of the very classes that were found.

    Args:
        architecture: network_class_name, arch_kwargs and _kw_requires_import.
        source: file that it is from, for messages.

    Raises:
        InputError: when a name leads elsewhere than to a class of networks or layers, or an entry is missing.
    """
    problem = "describes no network of nnU-Net's."
    if not isinstance(architecture, Mapping) or not isinstance(architecture.get("arch_kwargs"), Mapping):
        raise InputError(source, problem, _REMEDY)
    arguments = dict(architecture["arch_kwargs"])
    imported = architecture.get("_kw_requires_import")
    if not isinstance(imported, list) or not all(isinstance(key, str) and key in arguments for key in imported):
        raise InputError(source, problem, _REMEDY)
    for key in imported:
        if key not in _LAYERS:
            raise InputError(source, f"would have {key} imported, which is no layer.", _REMEDY)
    for key in _LAYERS:  # some trainers import them whether or not the plans ask for it
        if arguments.get(key) is not None:
            arguments[key] = _full_name(_find_class(arguments[key], source))
    network = _full_name(_find_class(architecture.get("network_class_name"), source))
    return {**architecture, "network_class_name": network, "arch_kwargs": arguments, "_kw_requires_import": imported}


def check_named_code(plans: Mapping[str, Any], configuration: Mapping[str, Any], source: Path) -> None:
    """Refuses names of preprocessing and label handling that nnU-Net does not have.

    Args:
        plans: contents of plans.json.
        configuration: the one of its configurations that is used.
        source: file that they are from, for messages.

    Raises:
        InputError: naming the entry.
    """
    schemes = configuration.get("normalization_schemes")
    if not isinstance(schemes, list) or len(schemes) != 1:
        raise InputError(source, f"has the normalization_schemes {schemes!r}.", "Give a model for CT alone.")
    labels = "nnunetv2.utilities.label_handling"
    wanted = [
        ("preprocessor_name", configuration.get("preprocessor_name"), "preprocessors", "DefaultPreprocessor"),
        ("normalization_schemes", schemes[0], "normalization", "ImageNormalization"),
        *((key, configuration.get(key), "resampling", None) for key in _FUNCTIONS),
    ]
    for entry, name, folder, base in wanted:
        _check_found(entry, name, f"nnunetv2.preprocessing.{folder}", base, source)
    _check_found("label_manager", plans.get("label_manager", "LabelManager"), labels, "LabelManager", source)


def _find_class(name: Any, source: Path) -> type:
    """The class of a network or layer by its dotted name; none of the attributes on the way is followed."""
    module, _, last = name.rpartition(".") if isinstance(name, str) else ("", "", "")
    found = None
    if any(module == package or module.startswith(f"{package}.") for package in _PACKAGES):
        try:
            found = getattr(importlib.import_module(module), last, None)
        except ImportError:
            if module.startswith("dynamic_network_architectures."):
                found = _search(_ARCHITECTURES, last)  # as nnU-Net does, since networks have moved between modules
    if isinstance(found, type) and issubclass(found, torch.nn.Module):
        own = found.__module__.startswith(tuple(f"{package}." for package in _PACKAGES))
        if own and found.__qualname__ == last:
            return found
    raise InputError(source, f"names {name}, which is not nnU-Net's.", _REMEDY)


def _check_found(entry: str, name: Any, package: str, base: str | None, source: Path) -> None:
    """Refuses a name unless nnU-Net's own search gives a class of a kind, or a function if the kind is None."""
    found = _search(package, name) if isinstance(name, str) and name.isidentifier() else None
    own = getattr(found, "__module__", None)
    fits = isinstance(own, str) and own.startswith(f"{package}.")
    if base is None:
        fits = fits and inspect.isfunction(found)
    else:
        fits = fits and isinstance(found, type) and base in (parent.__name__ for parent in found.__mro__)
    if not fits:
        raise InputError(source, f"has the {entry} {name!r}, which nnU-Net does not have.", _REMEDY)


def _search(package: str, name: str) -> Any:
    """What nnU-Net finds by a bare name in one of its packages."""
    finder = require("nnunetv2.utilities.find_class_by_name", "nnunetv2", "The segmenter nnunet")
    return finder.recursive_find_python_class(importlib.import_module(package).__path__[0], name, package)


def _full_name(found: type) -> str:
    return f"{found.__module__}.{found.__qualname__}"
