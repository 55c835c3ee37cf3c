from __future__ import annotations

import pytest

from bundle.errors import InputError
from bundle.tables import parse_rows, printable, read_rows, write_rows


def test_columns_of_different_rows_are_joined(tmp_path):
    write_rows([{"a": 1}, {"a": 2, "b": 3}], tmp_path / "t.csv")
    assert read_rows(tmp_path / "t.csv") == [{"a": "1", "b": ""}, {"a": "2", "b": "3"}]


def test_no_file_has_no_rows(tmp_path):
    assert read_rows(tmp_path / "none.csv") == []


def test_what_is_no_text_is_escaped():
    assert printable({"caf\udce9": ["\udce9", ("\udce9", 1.5)]}) == {"caf\\udce9": ["\\udce9", ("\\udce9", 1.5)]}


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", []),
        ("a,b\r\n1,2\r\n\r\n3,4\r\n", [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]),
        ('a,b\n"x,\ny",2\n', [{"a": "x,\ny", "b": "2"}]),
        ("a,b\n1\n", [{"a": "1", "b": ""}]),  # spreadsheets leave empty cells out
        ("a,b,,\n1,2,,,\n", [{"a": "1", "b": "2"}]),  # or add some
    ],
)
def test_rows_of_sound_tables(text, rows):
    assert parse_rows(text, "x.csv") == rows


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,split,case\na,test,b\n", "x.csv: has the column 'case' twice"),
        ("a,,b\n1,2,3\n", "x.csv: has 3 columns, or one without a name"),
        ("a,b\n1,2\n1,2,3\n", "x.csv, line 3: has 3 cells for 2 columns"),
        ('a\n"x\n', r"x.csv, line 2: is no line of a CSV table \(unexpected end of data\)"),
        ("a\n" + "x" * 200_000, r"x.csv, line 2: is no line of a CSV table \(field larger than field limit"),
        ("a," * 2000 + "a\n", "x.csv: has 2001 columns"),
    ],
)
def test_tables_that_are_wrong(text, message):
    with pytest.raises(InputError, match=message):
        parse_rows(text, "x.csv")
