"""YAML that is taken for what it says or refused: numbers as in YAML 1.2, whatever tools made of older spellings."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, ClassVar

from bundle.errors import InputError
from bundle.optional import require

__all__ = ["compose_yaml", "parse_yaml"]

MOST_CHARACTERS = 2**19
MOST_DEPTH = 64
"""Of lists and mappings in each other."""
MOST_ALIASES = 100
_MOST_DIGITS = 19  # of whole numbers: those of 64 bits
_REMEDY = "Mend it, or get another copy."
# YAML 1.1 reads 01000 as 512, 16:40 as 1000 and 1_000 as 1000; YAML 1.2 does not. Such stay the text that is written,
# which nothing takes for a number.
_TYPES = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF"),
    "null": (r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    "int": (r"[-+]?(?:0|[1-9][0-9]*)", "-+0123456789"),
    "float": (
        r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
    "merge": (r"<<", "<"),
}


def parse_yaml(text: str, source: object, purpose: str, remedy: str = _REMEDY) -> Any:
    """What a YAML text holds: plain values.

    Args:
        text: the text.
        source: what to name in messages.
        purpose: what the text is for, in case that pyyaml is missing.
        remedy: what to do about a text that is wrong.

    Raises:
        InputError: when it is too long, no YAML, nested too deeply, has many or nested aliases or an object's tag,
            gives a name twice, or holds a whole number beyond 64 bits.
        ImportError: when pyyaml is missing.
    """
    return _read(text, source, purpose, remedy, "get_single_data")


def compose_yaml(text: str, source: object, purpose: str, remedy: str = _REMEDY) -> Any:
    """The nodes of a YAML text as they are written, also names that are given twice; see :func:`parse_yaml`."""
    return _read(text, source, purpose, remedy, "get_single_node")


def _read(text: str, source: object, purpose: str, remedy: str, step: str) -> Any:
    yaml = require("yaml", "pyyaml", purpose)
    if len(text) > MOST_CHARACTERS:
        raise InputError(source, f"is YAML of more than {MOST_CHARACTERS >> 10} KiB.", remedy)
    try:
        return getattr(_loader(yaml)(text), step)()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = "" if mark is None else f" in line {mark.line + 1}"
        raise InputError(source, f"is not valid YAML: {error.problem}{line}.", remedy) from error
    except (yaml.YAMLError, ValueError, RecursionError, TypeError) as error:
        told = " ".join(str(error).split())[:200]
        raise InputError(source, f"is not valid YAML ({told}).", remedy) from error


@lru_cache(maxsize=1)
def _loader(yaml: Any) -> type:
    """A loader of plain values with bounds on all that grows."""

    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: ClassVar[dict[str, list]] = {}
        depth = aliases = within_anchor = 0

        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.peek_event()
            if isinstance(event, yaml.AliasEvent):
                self.aliases += 1
                if self.within_anchor or self.aliases > MOST_ALIASES:
                    raise fault("too many aliases, or one within what another stands for", event)
                return super().compose_node(parent, index)
            if self.depth >= MOST_DEPTH:
                raise fault(f"nested more than {MOST_DEPTH} deep", event)
            anchored = event.anchor is not None
            self.depth += 1
            self.within_anchor += anchored
            node = super().compose_node(parent, index)
            self.depth -= 1
            self.within_anchor -= anchored
            return node

        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            for key, _ in node.value:
                if not isinstance(key, yaml.ScalarNode):
                    raise fault("a list or mapping as a name", key)
            return node

        def construct_mapping(self, node: Any, deep: bool = False) -> Any:
            seen: set[Any] = set()
            for key, _ in node.value:
                if key.value in seen:
                    raise fault(f"{key.value[:100]} is given more than once", key)
                seen.add(key.value)
            return super().construct_mapping(node, deep)

        def construct_whole(self, node: Any) -> int:
            if len(node.value) > _MOST_DIGITS:
                raise fault(f"a whole number of {len(node.value)} digits", node)
            return int(node.value)

        def construct_float(self, node: Any) -> float:
            return float(node.value.lower().replace(".inf", "inf").replace(".nan", "nan"))

    def fault(problem: str, where: Any) -> Exception:
        return yaml.MarkedYAMLError(problem=problem, problem_mark=where.start_mark)

    for name, (pattern, first) in _TYPES.items():
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(f"^(?:{pattern})$"), list(first))
    Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_whole)
    Loader.add_constructor("tag:yaml.org,2002:float", Loader.construct_float)
    return Loader
