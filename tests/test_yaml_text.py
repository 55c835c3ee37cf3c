from __future__ import annotations

import math

import pytest

from bundle.errors import InputError
from bundle.yaml_text import MOST_ALIASES, MOST_DEPTH, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1000", 1000),
        ("-7", -7),
        ("1e3", 1000.0),
        ("1.5", 1.5),
        ("-.5e-2", -0.005),
        ("01000", "01000"),  # 512 in YAML 1.1, 1000 in YAML 1.2: no number that all agree about
        ("16:40", "16:40"),
        ("1_000", "1_000"),
        ("0x10", "0x10"),
        ("yes", "yes"),
        ("2020-01-01", "2020-01-01"),
        ("true", True),
        ("~", None),
        ("", None),
        (".inf", math.inf),
        ("[1, {b: x}]", [1, {"b": "x"}]),
        ('"1"', "1"),
    ],
)
def test_values_are_those_of_yaml_1_2(text, value):
    found = parse_yaml(f"a: {text}", "x.yaml", "a test")["a"]
    assert found == value
    assert type(found) is type(value)


def test_values_that_occur_twice_may_be_aliases():
    assert parse_yaml("a: &one [1, 2]\nb: *one\n", "x.yaml", "a test") == {"a": [1, 2], "b": [1, 2]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [x]\nb: &b [*a, *a]\nc: [*b, *b]", "too many aliases, or one within what another stands for in line 2"),
        ("&a [*a]", "too many aliases, or one within what another stands for"),
        ("a: &a x\nb: [" + "*a, " * MOST_ALIASES + "*a]", "too many aliases"),
        ("[" * 10_000, f"nested more than {MOST_DEPTH} deep"),
        ("{" * 10_000, f"nested more than {MOST_DEPTH} deep"),
        ("b: {a: 1, a: 1}", "a is given more than once in line 1"),
        ("? [1]\n: 2", "a list or mapping as a name"),
        ("a: " + "9" * 5000, "a whole number of 5000 digits in line 1"),
        ("!!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("a: [1", "expected"),
        ("a: 1\n---\nb: 2", "another document"),
    ],
)
def test_what_is_wrong_is_told(text, message):
    with pytest.raises(InputError, match=f"^x.yaml: is not valid YAML: .*{message}"):
        parse_yaml(text, "x.yaml", "a test")


def test_long_texts_are_refused_before_they_are_read():
    with pytest.raises(InputError, match=r"x\.yaml: is YAML of more than 512 KiB"):
        parse_yaml("a: [" + "1," * 2**19 + "]", "x.yaml", "a test")
