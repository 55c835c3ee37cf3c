from __future__ import annotations

import sys

import numpy as np
import pytest

from bundle.__main__ import main
from bundle.data.projection_file import read_projections
from tests.scanners.raw_scan import raw_scan, scan_geometry, write_scan

itk = pytest.importorskip("itk", reason="needs itk-rtk")
if not hasattr(itk, "RTK"):
    pytest.skip("needs itk-rtk", allow_module_level=True)


@pytest.fixture
def command(monkeypatch):
    """Runs a command line in this process."""

    def run(line: str) -> None:
        monkeypatch.setattr(sys, "argv", ["bundle", *line.split()])
        main()

    return run


@pytest.fixture
def scan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    scan = raw_scan(scan_geometry(offset_mm=(5.0, -12.0)))
    write_scan(tmp_path, scan, "xim")
    return scan


IMPORT = "import --projections views --geometry scan.xml --output scan.npz"
GRID = "--volume_shape [32,34,24] --voxel_mm [5,4.5,6]"
REFERENCES = "--flat flat.mha --dark dark.mha --bad_pixels bad.mha"


def test_import(scan, command, capsys):
    command(f"{IMPORT} {GRID} {REFERENCES} --mu_water_per_mm 0.0195 --views [2,0]")
    data = read_projections("scan.npz")
    np.testing.assert_allclose(data.projections[:, ~scan.bad], scan.truth[[2, 0]][:, ~scan.bad], atol=2e-4)
    assert data.mu_water_per_mm == 0.0195
    assert data.geometry.voxel_mm == (5.0, 4.5, 6.0)
    told = capsys.readouterr().out
    assert "wrote scan.npz: 2 views of 28 x 40 pixels" in told
    assert "bad pixels filled in: 3" in told
    assert "mu_water: 0.0195 per mm (given)" in told
    assert "first pixel: centred: the images state none" in told


def test_import_with_numbers_and_a_list_of_files(scan, command):
    """Which image belongs to which view is the list's order."""
    files = "['views/view1.xim','views/view2.xim','views/view3.xim']"
    command(
        f"import --projections {files} --geometry scan.xml --output scan.npz {GRID} --i0 [60000,60000,60000] "
        "--dark 150 --bad_pixels bad.mha --minimum_counts 2 --first_pixel_mm centred --geometry_options {'unit':'mm'}"
    )
    made = read_projections("scan.npz").provenance
    assert made["counts"]["i0"] == [60000.0] * 3
    assert made["counts"]["dark"] == 150.0
    assert made["counts"]["minimum_counts"] == 2.0
    assert made["first_pixel"] == "given"


def test_export_and_import_again(scan, command, capsys):
    command(f"{IMPORT} {GRID} {REFERENCES}")
    command("export-scan --source scan.npz --geometry again.xml --projections again.mha")
    assert "not in them: mu_water_per_mm 0.0206, volume_shape [32, 34, 24]" in capsys.readouterr().out
    command(f"import --projections again.mha --geometry again.xml --output again.npz {GRID} --quantity attenuation")
    once, again = read_projections("scan.npz"), read_projections("again.npz")
    np.testing.assert_array_equal(again.projections, once.projections)
    np.testing.assert_allclose(again.geometry.pixel_centres_mm(), once.geometry.pixel_centres_mm(), atol=1e-6)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"{IMPORT} {REFERENCES}", "error: volume_shape and voxel_mm: are missing"),
        (f"{IMPORT} {GRID}", "error: i0: is missing, as are flat and air_region"),
        (f"{IMPORT} {GRID} {REFERENCES}".replace("scan.npz", "scan.nii"), "error: scan.nii: has a suffix"),
        (f"{IMPORT} {GRID} {REFERENCES}".replace("scan.xml", "flat.mha"), "error: flat.mha: is no geometry file"),
        ("export-scan --source gone.npz --geometry a.xml", "error: gone.npz: does not exist"),
    ],
)
def test_one_message_and_no_output(scan, command, capsys, tmp_path, line, message):
    with pytest.raises(SystemExit, match="1"):
        command(line)
    assert message in capsys.readouterr().err
    assert not list(tmp_path.glob("*.npz"))
