"""What the documentation tells users to write works as written."""

from __future__ import annotations

import json
import re

import pytest
import torch
from monai.bundle import ConfigParser

from bundle.physics.acquisition import Acquisition
from bundle.sampling.jitter import ScanJitter
from tests.conftest import ROOT

PAGES = [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def json_blocks(name: str) -> list[str]:
    return re.findall(r"```json\n(.*?)```", (ROOT / "docs" / name).read_text(encoding="utf-8"), re.DOTALL)


def documented(entry: str):
    """The object that an entry of docs/data.md describes."""
    block = next(b for b in json_blocks("data.md") if b.startswith(f'"{entry}"'))
    parser = ConfigParser(json.loads("{" + block + "}"))
    return parser.get_parsed_content(entry)


def test_acquisition(scan, phantom):
    pytest.importorskip("spekpy", reason="needs spekpy")
    pytest.importorskip("xraydb", reason="needs xraydb")
    from bundle.simulation import simulate_projections

    acquisition = documented("acquisition")
    assert isinstance(acquisition, Acquisition)
    volume = torch.from_numpy(phantom)[None, None]
    made = simulate_projections(volume, scan.geometry([0.1, 1.2]), scan.hu_window, acquisition)
    assert torch.isfinite(made).all()
    assert not torch.equal(made, simulate_projections(volume, scan.geometry([0.1, 1.2]), scan.hu_window))


def test_jitter():
    assert documented("jitter") == ScanJitter(1.0, 20.0, 30.0, [5.0, 10.0])


@pytest.mark.parametrize("path", sorted(str(p.relative_to(ROOT)) for p in PAGES))
def test_links_lead_somewhere(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert ((ROOT / path).parent / target).exists(), target
