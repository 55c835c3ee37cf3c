"""What the documentation tells users to write works as written."""

from __future__ import annotations

import ast
import json
import re
import textwrap

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
    from bundle.simulation import project_own_voxels

    acquisition = documented("acquisition")
    assert isinstance(acquisition, Acquisition)
    volume = torch.from_numpy(phantom)[None, None]
    made = project_own_voxels(volume, scan.geometry([0.1, 1.2]), scan.hu_window, acquisition)
    assert torch.isfinite(made).all()
    assert not torch.equal(made, project_own_voxels(volume, scan.geometry([0.1, 1.2]), scan.hu_window))


def test_jitter():
    assert documented("jitter") == ScanJitter(1.0, 20.0, 30.0, [5.0, 10.0])


@pytest.mark.parametrize("path", sorted(str(p.relative_to(ROOT)) for p in PAGES))
def test_links_lead_somewhere(path):
    text = (ROOT / path).read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert ((ROOT / path).parent / target).exists(), target


def test_federated_example_trains_and_evaluates_one_network():
    """MONAI's client fills in what it is not sent, so that another network's scores would be of random weights."""
    text = (ROOT / "docs" / "training.md").read_text(encoding="utf-8")
    block = textwrap.dedent(text[text.index("    algo = MonaiAlgo(") : text.index("    algo.initialize(")])
    call = ast.parse(block).body[0].value
    given = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    networks = {}
    for kind in ("train", "evaluate"):
        parser = ConfigParser()
        parser.read_config([str(ROOT / file) for file in given[f"config_{kind}_filename"]])
        parser.update({"bundle_root": str(ROOT), **(given["eval_kwargs"] if kind == "evaluate" else {})})
        networks[kind] = parser.get_parsed_content("network_def"), parser.get_parsed_content("scan")
    (trained, scan), (evaluated, other_scan) = networks.values()
    assert trained.state_dict().keys() == evaluated.state_dict().keys()
    assert scan == other_scan
    parser.read_config(str(ROOT / given["config_train_filename"][0]))
    assert given["best_model_filepath"] == f"models/{parser['model_file']}"
