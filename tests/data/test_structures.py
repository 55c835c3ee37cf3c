from __future__ import annotations

import pytest

from bundle.data.structures import parse_structures
from bundle.errors import InputError

LUNGS = {"right lung": (12, 13), "left lung": (10,)}


@pytest.mark.parametrize(
    "given",
    [
        "{right lung: [12, 13], left lung: 10}",
        '{"right_lung": [12, 13], "left_lung": [10]}',
        "right_lung: [12, 13]\nleft_lung: 10\n",
        {"right_lung": [12, 13], "left lung": 10},
        {" right  lung": (12, 13), "left lung": [10]},
    ],
)
def test_every_notation_means_the_same(given):
    parsed = parse_structures(given)
    assert parsed == LUNGS
    assert list(parsed) == list(LUNGS)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("{lung: 12, lung: 13}", "has the name 'lung' twice"),
        ({"left_lung": 1, "left lung": 2}, "has the name 'left lung' twice"),
        ("{true: 1}", "has the name 'true', which is no text"),
        ("{~: 1}", "has the name '~', which is no text"),
        ("{1: 2}", "has the name '1', which is no text"),
        ("{<<: {a: 1}}", "has the name '<<', which is no text"),
        ("{[a]: 2}", "is not valid YAML: a list or mapping as a name"),
        ({None: 1}, "has the name None, which is no text"),
        ({True: 1}, "has the name True, which is no text"),
        ("{'': 1}", "has the name '', which is no text"),
        ("{a: 012}", "a: has the values '012'"),
        ("{a: 12:30}", "a: has the values '12:30'"),
        ("{a: 0x1F}", "a: has the values '0x1F'"),
        ("{a: 1_0}", "a: has the values '1_0'"),
        ("{a: '3'}", "a: has the values '3'"),
        ("{a: 1.0}", r"a: has the values '1\.0'"),
        ("{a: true}", "a: has the values 'true'"),
        ("{a: }", "a: has the values ''"),
        ("{a: [1, [2]]}", r"a: has the values \[1, 'a list or mapping'\]"),
        ("{a: {b: 1}}", "a: has the values 'a list or mapping'"),
        ("{a: -3}", "a: has the values -3"),
        ("{a: 0}", "a: has the values 0"),
        ({"a": -3}, "a: has the values -3"),
        ({"a": True}, "a: has the values True"),
        ({"a": []}, r"a: has the values \[\]"),
        ({"a": [1.5]}, r"a: has the values \[1\.5\]"),
        ({"a": "12"}, "a: has the values '12'"),
        ({"a": None}, "a: has the values None"),
        ({"a": [1, 2], "b": [2]}, "b: has the value 2, as a has"),
        ({"a": [1, 1]}, "a: has the value 1, as a has"),
        ("{lung: [12,", "is not valid YAML"),
        ("lung", "is 'lung'"),
        ("[1, 2]", r"is '\[1, 2\]'"),
        ("", "is ''"),
        ("{}", "is '{}'"),
        ({}, "is {}"),
        (7, "is 7"),
        (["a"], r"is \['a'\]"),
    ],
)
def test_what_makes_no_sense_is_refused(given, told):
    with pytest.raises(InputError, match=f"^label_structures:? {told}"):
        parse_structures(given, "label_structures")
