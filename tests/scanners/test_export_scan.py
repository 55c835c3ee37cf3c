from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bundle.data.projection_file import ProjectionSet
from bundle.errors import InputError
from bundle.geometry import circular
from bundle.phantoms import line_integrals
from bundle.physics.attenuation import attenuation_to_normalised
from bundle.scanners.export_scan import as_attenuation, export_scan
from bundle.scanners.import_scan import import_scan
from tests.scanners.raw_scan import MU_WATER_PER_MM, VOLUME, phantom

itk = pytest.importorskip("itk", reason="needs itk-rtk")
if not hasattr(itk, "RTK"):
    pytest.skip("needs itk-rtk", allow_module_level=True)


def scan_with(rows: str) -> ProjectionSet:
    geometry = circular(
        [0.1, 2.5, 1.0],
        500.0,
        800.0,
        (28, 40),
        (8.0, 7.5),
        **VOLUME,
        detector_offset_mm=(6.0, -11.0),
        row_direction=rows,
    )
    values = line_integrals(phantom(), geometry).astype(np.float32)
    return ProjectionSet(values, geometry, "attenuation", mu_water_per_mm=MU_WATER_PER_MM)


@pytest.mark.parametrize("rows", ["+z", "-z"])
@pytest.mark.parametrize("ending", ["xml", "json"])
def test_there_and_back(tmp_path, rows, ending):
    """Every line integral comes back with its own ray; RTK's XML turns rows that run downwards."""
    data = scan_with(rows)
    written = export_scan(data, tmp_path / f"scan.{ending}", tmp_path / "stack.mha")
    back = import_scan(tmp_path / "stack.mha", tmp_path / f"scan.{ending}", **VOLUME, quantity="attenuation")
    np.testing.assert_array_equal(back.projections, written.projections)
    np.testing.assert_allclose(back.geometry.pixel_centres_mm(), written.geometry.pixel_centres_mm(), atol=1e-6)
    turned = ending == "xml" and rows == "-z"
    step = -1 if turned else 1
    np.testing.assert_array_equal(back.projections, data.projections[:, ::step])
    np.testing.assert_allclose(back.geometry.pixel_centres_mm(), data.geometry.pixel_centres_mm()[:, ::step], atol=1e-6)
    assert back.geometry.row_direction() == ("+z" if turned else rows)


def test_rtk_reads_the_pair(tmp_path):
    """RTK's own ellipsoid, in RTK's own geometry and on the stack's own grid, is what the stack holds."""
    export_scan(scan_with("-z"), tmp_path / "scan.xml", tmp_path / "stack.mha")
    stack = itk.imread(str(tmp_path / "stack.mha"), itk.F)
    expected = itk.array_from_image(stack).copy()
    total = np.zeros_like(expected)
    for part in phantom():
        empty = itk.image_from_array(np.zeros_like(expected))
        empty.CopyInformation(stack)
        analytic = itk.RTK.RayEllipsoidIntersectionImageFilter[itk.Image[itk.F, 3], itk.Image[itk.F, 3]].New()
        analytic.SetInput(empty)
        analytic.SetGeometry(itk.RTK.read_geometry(str(tmp_path / "scan.xml")))
        analytic.SetDensity(float(part.value))
        (x, y, z), (a, b, c) = part.centre_mm, part.radii_mm
        analytic.SetCenter([float(y), float(z), float(x)])
        analytic.SetAxis([float(b), float(c), float(a)])
        analytic.Update()
        total += itk.array_from_image(analytic.GetOutput())
    np.testing.assert_allclose(total, expected, atol=1e-3)


def test_normalised_projections_become_attenuation(tmp_path):
    data = scan_with("+z")
    normalised = replace(
        data,
        projections=attenuation_to_normalised(data.projections, (-1000.0, 1000.0), MU_WATER_PER_MM),
        quantity="normalised",
    )
    np.testing.assert_allclose(as_attenuation(normalised).projections, data.projections, rtol=1e-6, atol=1e-7)
    with pytest.raises(InputError, match="hu_window: starts at -500 HU"):
        export_scan(replace(normalised, hu_window=(-500.0, 1000.0)), tmp_path / "scan.json")


def test_outputs_are_checked_before_anything_is_written(tmp_path):
    (tmp_path / "stack.mha").write_text("x")
    with pytest.raises(InputError, match=r"stack.mha: exists already"):
        export_scan(scan_with("+z"), tmp_path / "scan.json", tmp_path / "stack.mha")
    with pytest.raises(InputError, match=r"scan.txt: has a suffix.*\.xml or \.json"):
        export_scan(scan_with("+z"), tmp_path / "scan.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["stack.mha"]
