from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from bundle.arguments import check_arguments, check_flags, is_true, parse_device, read_mapping
from bundle.errors import InputError


def command(
    source: str, count: int = 1, level: float | None = None, sizes: Sequence[int] | None = None, on: bool = False,
    options: dict | None = None, files: str | Sequence[str] | None = None,
    dark: str | float | None = None,
    sure: bool | None = None,
) -> None:  # fmt: skip
    """Takes one of every kind."""


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"source": 7}, {"source": "7"}),
        ({"level": 3}, {"level": 3.0}),
        ({"level": None, "sizes": (1, 2)}, {"level": None, "sizes": [1, 2]}),
        ({"files": "a"}, {"files": "a"}),
        ({"dark": 150}, {"dark": 150.0}),
        ({"on": "true"}, {"on": True}),
        ({"on": "False"}, {"on": False}),
        ({"sure": "false"}, {"sure": False}),
        ({"sure": None}, {"sure": None}),
        ({"dark": "150"}, {"dark": "150"}),
        ({"files": ["a", 3]}, {"files": ["a", "3"]}),
        ({"on": True, "options": {"a": 1}}, {"on": True, "options": {"a": 1}}),
    ],
)
def test_values_that_fit(given, expected):
    assert check_arguments(command, given) == expected


def test_truth_values():
    assert [is_true(value, "on") for value in (True, "true", False, "false", "False")] == [True] * 2 + [False] * 3
    with pytest.raises(InputError, match=r"^on: is 'no'\. Give true or false\.$"):
        is_true("no", "on")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": "six"}, "count: is 'six'. Give a whole number."),
        ({"count": 2.5}, "count: is 2.5. Give a whole number."),
        ({"count": True}, "count: is True"),
        ({"level": "many"}, "level: is 'many'. Give a number."),
        ({"sizes": 16}, "sizes: is 16. Give a list, each a whole number"),
        ({"sizes": [1, "x"]}, "sizes: is"),
        ({"on": 1}, "on: is 1. Give true or false."),
        ({"options": 5}, "options: is 5. Give names and values"),
    ],
)
def test_values_that_do_not_fit(given, message):
    with pytest.raises(InputError) as caught:
        check_arguments(command, given)
    assert message in str(caught.value)


def test_flags():
    check_flags(command, ["--source", "a", "--count=3", "--on", "--help", "--", "-x"])
    with pytest.raises(InputError, match=r"--iterations: is no option of command.*go into --options"):
        check_flags(command, ["--source", "a", "--iterations", "5"])


def test_devices():
    assert parse_device("cpu") == torch.device("cpu")
    assert parse_device(None).type in ("cpu", "cuda")
    for name in ("gpu", "cuda:99"):
        with pytest.raises(InputError, match="not available here"):
            parse_device(name)
    with pytest.raises(InputError, match="'meta' is none to compute on"):
        parse_device("meta")


def test_mappings_come_as_such_or_as_text():
    assert read_mapping(None, "options") == {}
    assert read_mapping({"device": "cpu"}, "options") == {"device": "cpu"}
    pytest.importorskip("yaml", reason="needs pyyaml")
    # A command line leaves what is no literal of Python as text.
    assert read_mapping("{weights: /models/unet.pth, batch_size: 4}", "options") == {
        "weights": "/models/unet.pth",
        "batch_size": 4,
    }
    for given in ("weights=none.pth", "{a: [}", "[1]", "{1: a}", 5):
        with pytest.raises(InputError, match=r"options: is .*. Give names and values"):
            read_mapping(given, "options")
