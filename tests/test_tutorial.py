"""The tutorial runs, from its first cell to its last, and shows what it says."""

from __future__ import annotations

import base64
import io
import json
import math
import re

import pytest

from tests.conftest import ROOT

NOTEBOOK = ROOT / "docs" / "tutorial.ipynb"
TIMEOUT_S = 600
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
PICTURES = ("phantom-draw", "planes", "simulate-views", "look-planes", "look-differences", "own-mirrored")


@pytest.fixture(scope="module")
def outputs(tmp_path_factory) -> dict[str, list]:
    """What every code cell leaves when the notebook is run on small volumes, by the cell's id."""
    nbformat = pytest.importorskip("nbformat", reason="needs nbformat")
    nbclient = pytest.importorskip("nbclient", reason="needs nbclient")
    for package in ("ipykernel", "matplotlib", "skimage"):
        pytest.importorskip(package, reason=f"needs {package}")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    folder = tmp_path_factory.mktemp("tutorial")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TUTORIAL_REDUCED", "1")
        patch.setenv("PYTHONPATH", str(ROOT))
        for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "TMPDIR"):
            (folder / name).mkdir()
            patch.setenv(name, str(folder / name))
        resources = {"metadata": {"path": str(NOTEBOOK.parent)}}
        client = nbclient.NotebookClient(notebook, timeout=TIMEOUT_S, kernel_name="python3", resources=resources)
        client.execute()
    assert sorted(path.name for path in (folder / "TMPDIR").glob("*/*")) == ["chest_6_views.nii.gz", "scan.npz"]
    return {cell.id: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def printed(outputs: list) -> str:
    return "".join(output["text"] for output in outputs if output.get("name") == "stdout")


def test_is_stored_without_outputs():
    code = [cell for cell in CELLS if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in CELLS}) == len(CELLS)
    assert NOTEBOOK.stat().st_size < 50_000


def test_links_lead_somewhere():
    text = "".join("".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "markdown")
    targets = re.findall(r"\]\((?!http)([^)#]+)", text)
    assert len(targets) > 8
    for target in targets:
        assert (NOTEBOOK.parent / target).exists(), target


def test_projector_agrees_with_exact_integrals(outputs):
    (percent,) = re.findall(r"([\d.]+)% from the exact integrals", printed(outputs["phantom-project"]))
    assert float(percent) < 5


def test_network_and_total_variation_are_much_better_than_the_other_methods(outputs):
    """Which of the two is better depends on body, resolution and noise (docs/evaluation.md)."""
    lines = re.findall(r"^(\S+) +([-\d.]+) +([-\d.]+) +([-\d.]+)%$", printed(outputs["compare-table"]), re.MULTILINE)
    table = {name: tuple(map(float, figures)) for name, *figures in lines}
    assert list(table) == ["fdk", "sart", "tv", "deepsparse", "deepsparse+sart"]
    for psnr_db, ssim, residual in table.values():
        assert all(map(math.isfinite, (psnr_db, ssim, residual)))
        assert 10 < psnr_db < 40
        assert 0.2 < ssim < 1
        assert 0.1 < residual < 60
    psnr_db = {name: figures[0] for name, figures in table.items()}
    assert psnr_db["deepsparse"] > psnr_db["sart"] + 2.5
    assert psnr_db["sart"] > psnr_db["fdk"] + 2
    assert psnr_db["deepsparse"] > psnr_db["tv"] - 0.5
    assert psnr_db["deepsparse+sart"] > psnr_db["deepsparse"] - 0.5
    assert table["deepsparse+sart"][2] < table["deepsparse"][2]


def test_own_projections_give_the_same_volume_and_wrong_rows_its_mirror_image(outputs):
    (difference_hu,) = re.findall(r"at most ([\d.]+) HU", printed(outputs["own-counts"]))
    assert float(difference_hu) < 1
    right, wrong = re.findall(r"residual ([\d.]+)%, PSNR ([\d.]+) dB", printed(outputs["own-mirrored"]))
    assert float(wrong[0]) == pytest.approx(float(right[0]), abs=0.05)
    assert float(wrong[1]) < float(right[1]) - 3


@pytest.mark.parametrize("cell", PICTURES)
def test_pictures_are_drawn(outputs, cell):
    from matplotlib.image import imread

    drawn = [output["data"]["image/png"] for output in outputs[cell] if "image/png" in output.get("data", {})]
    assert drawn
    for picture in drawn:
        pixels = imread(io.BytesIO(base64.b64decode(picture)))
        assert min(pixels.shape[:2]) > 100
        assert pixels[..., :3].std() > 0.1


def test_every_picture_is_looked_at(outputs):
    drawn = {cell for cell, found in outputs.items() if any("image/png" in part.get("data", {}) for part in found)}
    assert drawn == set(PICTURES)
