from __future__ import annotations

import pytest
from monai.bundle import ConfigParser

from bundle.config_text import literal


@pytest.mark.parametrize("text", ["$1 + 1", "@other", "%other", "a%#1::b@c", r"it's\@a 'file'.nii.gz", "", "ä.nii.gz"])
def test_text_stays_text(text):
    parser = ConfigParser({"other": "no", "text": literal(text), "reference": "@text", "part": {"of": "@text"}})
    assert parser.get_parsed_content("text") == text
    assert parser.get_parsed_content("reference") == text
    assert parser.get_parsed_content("part") == {"of": text}
