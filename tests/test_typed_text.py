from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from bundle.commands import COMMANDS
from bundle.errors import InputError
from bundle.typed_text import check_given, text_parsers


def command(
    source: str, cases: str | Sequence[str] | None = None, dark: str | Sequence[str] | float | None = None,
    first: Sequence[float] | str | None = None, structures: Mapping | str | None = None, count: int = 1,
) -> None:  # fmt: skip
    """Takes texts of every kind."""


@pytest.mark.parametrize(
    "word", ["scan#2", "2021_0401", "1.10", "1e3", "[a]", "true", "None", "'q'", "a,b", "{a: 1}", "0x10", "(1)"]
)
def test_text_is_what_is_typed(word):
    assert text_parsers(command)["source"](word) == word


@pytest.mark.parametrize(
    ("name", "word", "value"),
    [
        ("cases", "[1.10,scan#2, '2021_0401']", ["1.10", "scan#2", "2021_0401"]),
        ("cases", "['a, b',\"c\"]", ["a, b", "c"]),
        ("cases", "1.10", "1.10"),
        ("dark", "1.10", 1.1),
        ("dark", "2021_0401", "2021_0401"),
        ("dark", "[dark#1]", ["dark#1"]),
        ("first", "[1,2.5]", [1, 2.5]),
        ("first", "centred", "centred"),
        ("structures", "{a: 1, a: 2}", "{a: 1, a: 2}"),
    ],
)
def test_lists_and_numbers_where_they_are_meant(name, word, value):
    assert text_parsers(command)[name](word) == value


def test_a_file_may_have_brackets(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "[a]").mkdir()
    assert text_parsers(command)["cases"]("[a]") == "[a]"


def test_every_text_of_every_command_is_read_as_typed():
    for function in COMMANDS.values():
        assert "output" not in function.__annotations__ or text_parsers(function)["output"]("1e3") == "1e3"
    assert "count" not in text_parsers(command)


@pytest.mark.parametrize("words", [["--source"], ["--source", "--count", "1"], ["--source="], ["--source", ""]])
def test_flags_without_a_value(words):
    with pytest.raises(InputError, match=r"^--source: has no value\. Give one after it\.$"):
        check_given(command, words)


def test_flags_with_a_value():
    check_given(command, ["--source", "-5", "--count", "--cases=a", "--dark", "-"])
