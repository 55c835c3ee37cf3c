from __future__ import annotations

import json
import os

import pytest

from bundle.errors import InputError
from bundle.json_files import MOST_DEPTH, parse_json, read_json_object, write_json


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[" * 100_000, "is nested too deeply"),
        ("[" * (MOST_DEPTH + 2) + "]" * (MOST_DEPTH + 2), f"is nested more than {MOST_DEPTH} deep"),
        ('{"a": {"b": 1, "b": 1}}', r"b is given more than once\. Keep one of them"),
        ("[NaN]", "holds NaN, which is no number"),
        ('{"a": -Infinity}', "holds -Infinity, which is no number"),
        ("[1e999]", "holds the number 1e999, which is too large"),
        ("9" * 5000, "holds a whole number of 5000 digits"),
        ('["a\\u0000"]', "holds a text with a NUL character"),
        ('{"a\\u0000": 1}', "holds a text with a NUL character"),
        (b'{"a": "\xff"}', "is no text in UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "is no text in UTF-8"),
        (b"{}\0", "holds NUL bytes"),
        ("{", "is damaged: no valid JSON"),
    ],
)
def test_what_is_wrong_is_told(text, message):
    with pytest.raises(InputError, match=f"^x.json: {message}"):
        parse_json(text, "x.json")


def test_sound_values_are_what_they_say():
    text = json.dumps({"a": [1, -2.5e-300, 2**62, None, True, "\udce4\u00e4"], "b": {"a": {}}})
    assert parse_json(text, "x") == json.loads(text)
    assert parse_json(b"\xef\xbb\xbf[1]", "x") == [1]
    deep = "[" * MOST_DEPTH + "]" * MOST_DEPTH
    assert parse_json(deep, "x") == json.loads(deep)


def test_files(tmp_path):
    write_json({"a": 1}, tmp_path / "a.json")
    assert read_json_object(tmp_path / "a.json") == {"a": 1}
    assert read_json_object(tmp_path / "none.json") is None
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(InputError, match=r"list\.json: is not a JSON object"):
        read_json_object(tmp_path / "list.json")
    with pytest.raises(InputError, match="is a folder, not a file"):
        read_json_object(tmp_path)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(InputError, match="is a pipe, a socket or a device, not a file"):
        read_json_object(tmp_path / "pipe.json")
    with pytest.raises(InputError, match="is a pipe, a socket or a device, not a file"):
        read_json_object("/dev/zero")
    with open(tmp_path / "large.json", "wb") as file:
        file.truncate(2**26)  # which takes no space
    with pytest.raises(InputError, match="is larger than 32 MiB"):
        read_json_object(tmp_path / "large.json")
