from __future__ import annotations

from bundle.tables import printable, read_rows, write_rows


def test_columns_of_different_rows_are_joined(tmp_path):
    write_rows([{"a": 1}, {"a": 2, "b": 3}], tmp_path / "t.csv")
    assert read_rows(tmp_path / "t.csv") == [{"a": "1", "b": ""}, {"a": "2", "b": "3"}]


def test_no_file_has_no_rows(tmp_path):
    assert read_rows(tmp_path / "none.csv") == []


def test_what_is_no_text_is_escaped():
    assert printable({"caf\udce9": ["\udce9", ("\udce9", 1.5)]}) == {"caf\\udce9": ["\\udce9", ("\\udce9", 1.5)]}
