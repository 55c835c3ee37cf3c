"""From raw counts to HU, as with one's own scanner: simulates a scanner's files of the sample CT, then uses them.

Writes runs/own_scanner: what a scanner would (counts of a sphere of water and of the sample CT, open field, dark image,
geometry), the imported scan, the reconstruction, and prints how far its HU are from the CT's. Run it with
``python scripts/own_scanner_example.py``; docs/own-scanner.md explains each step. Needs itk-rtk and scipy.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

ROOT = Path(__file__).resolve().parent.parent
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from bundle.classical import FDK  # noqa: E402
from bundle.commands import COMMANDS  # noqa: E402
from bundle.data.ct_formats import LPS_TO_RAS  # noqa: E402
from bundle.data.ct_volume import read_ct  # noqa: E402
from bundle.data.projection_file import read_projections  # noqa: E402
from bundle.geometry import ConeBeamGeometry, circular  # noqa: E402
from bundle.optional import require  # noqa: E402
from bundle.phantoms import Ellipsoid, line_integrals  # noqa: E402
from bundle.physics.attenuation import normalised_to_unit_integral  # noqa: E402
from bundle.rtk.images import projections_to_itk  # noqa: E402
from bundle.rtk.toolkit import itk_and_rtk  # noqa: E402
from bundle.scanners.geometry_rtk import write_geometry_rtk  # noqa: E402
from bundle.scanners.hounsfield import hu_to_mu, mu_water_from_volume  # noqa: E402
from bundle.simulation import simulate_scan  # noqa: E402

OUTPUT = Path("runs") / "own_scanner"
SAMPLE = ROOT / "sample_data"
BEAM_MU_WATER_PER_MM = 0.0195  # what the simulated beam has, and the import does not know
OPEN_COUNTS = 60_000
WATER_RADIUS_MM = 80.0


def scan_geometry(volume_shape: tuple[int, ...], voxel_mm: tuple[float, ...], views: int) -> ConeBeamGeometry:
    """A full turn that sees the whole volume."""
    return circular(
        np.linspace(0.0, 2 * np.pi, views, endpoint=False),
        sod_mm=1000.0,
        sdd_mm=1536.0,
        detector_shape=(152, 164),
        pixel_mm=(4.2, 4.0),
        volume_shape=volume_shape,
        voxel_mm=voxel_mm,
    )


class Detector:
    """A panel with uneven gain, an offset, dead and hot pixels, and quantum noise.

    Args:
        shape: (rows, columns).
        random: source of its unevenness and of the noise.
    """

    def __init__(self, shape: tuple[int, int], random: np.random.Generator) -> None:
        self.random = random
        self.gain = random.uniform(0.95, 1.05, shape) * np.linspace(0.85, 1.0, shape[0])[:, None]
        self.offset = random.uniform(100.0, 300.0, shape)
        self.bad = random.random(shape) < 5e-4
        self.stuck_at = np.where(random.random(shape) < 0.5, 0, 65_535)

    def expose(self, attenuation: np.ndarray | None, images: int = 1) -> np.ndarray:
        """[image, v, u] uint16 counts behind an object, [image, v, u] or in air if 0, and without X-rays if None."""
        beam = 0.0 if attenuation is None else OPEN_COUNTS * np.exp(-np.asarray(attenuation))
        photons = self.random.poisson(np.broadcast_to(beam * np.ones(self.gain.shape), (images, *self.gain.shape)))
        counts = np.round(self.gain * photons + self.random.normal(self.offset, 3.0, photons.shape))
        return np.where(self.bad, self.stuck_at, counts.clip(0, 65_535)).astype(np.uint16)


def write_counts(path: Path, counts: np.ndarray, geometry: ConeBeamGeometry) -> None:
    """Writes [image, v, u] uint16 counts as a stack with pitch and origin."""
    itk, _ = itk_and_rtk("the example")
    placed = projections_to_itk(counts[:1], geometry)
    stack = itk.image_from_array(counts)
    stack.SetSpacing(placed.GetSpacing())
    stack.SetOrigin(placed.GetOrigin())
    itk.imwrite(stack, str(path), compression=True)


def measured_integrals(volume: torch.Tensor, geometry: ConeBeamGeometry) -> np.ndarray:
    """[view, v, u] line integrals, the means of pixels, of voxels twice as fine as those [x, y, z] of a volume."""
    fine = F.interpolate(volume[None, None], scale_factor=2, mode="trilinear")
    return normalised_to_unit_integral(simulate_scan(fine, geometry, (-1000.0, 1000.0)))[0].numpy()


def simulate_scanner(folder: Path, hu: np.ndarray, voxel_mm: tuple[float, ...], views: int, seed: int) -> None:
    """Writes what a scanner would of a CT in LPS order and of a sphere of water: counts, references and geometry."""
    folder.mkdir(parents=True, exist_ok=True)
    geometry = scan_geometry(hu.shape, voxel_mm, views)
    detector = Detector(geometry.detector_shape, np.random.default_rng(seed))
    mu = torch.from_numpy(hu_to_mu(hu.astype(np.float32).clip(-1000), BEAM_MU_WATER_PER_MM))
    patient = measured_integrals(mu, geometry)
    water = line_integrals([Ellipsoid((12.0, -7.0, 0.0), [WATER_RADIUS_MM] * 3, BEAM_MU_WATER_PER_MM)], geometry)
    write_geometry_rtk(geometry, folder / "geometry.xml")
    for name, counts in {
        "patient": detector.expose(patient, views),
        "water": detector.expose(water, views),
        "flat": detector.expose(np.zeros(geometry.detector_shape), 20),
        "dark": detector.expose(None, 20),
    }.items():
        write_counts(folder / f"{name}.mha", counts, geometry)


def run(command: str, **arguments: object) -> None:
    """Prints a command line and does what it does."""
    words = " ".join(f"--{name} {shlex.quote(str(value))}" for name, value in arguments.items())
    print(f"$ python -m bundle {command} {words}", flush=True)
    COMMANDS[command](**arguments, overwrite=True)


def measure_mu_water(scan: Path) -> float:
    """Attenuation of water per mm in the reconstruction of a water phantom."""
    data = read_projections(scan)
    mu = FDK()(torch.from_numpy(data.projections)[None], data.geometry)[0, 0].numpy()
    x, y, z = np.meshgrid(*(np.arange(n) for n in mu.shape), indexing="ij")
    place = np.stack([x, y, z], axis=-1) @ data.geometry.volume_affine[:3, :3].T + data.geometry.volume_affine[:3, 3]
    inside = np.linalg.norm(place - (12.0, -7.0, 0.0), axis=-1) < 0.6 * WATER_RADIUS_MM
    return mu_water_from_volume(mu, inside)


def compare(reconstruction: Path, hu: np.ndarray, lungs: np.ndarray) -> dict[str, tuple[float, float]]:
    """Mean HU of CT and reconstruction in even parts of the body, in the middle half of the slices.

    Even parts are the lungs three voxels inside their border, fat and soft tissue where the CT varies by less than
    25 HU over 3 x 3 x 3 voxels, and dense bone, which blurs with what is around it.

    Returns:
        (CT, reconstruction) by part.
    """
    filters = require("scipy.ndimage", "scipy", "the example")
    found = lps(reconstruction)[0]
    mean = filters.uniform_filter(hu, 3)
    even = filters.uniform_filter(hu**2, 3) - mean**2 < 25.0**2
    middle = np.zeros(hu.shape, bool)
    middle[:, :, hu.shape[2] // 4 : -hu.shape[2] // 4] = True
    parts = {
        "lungs": filters.binary_erosion(lungs > 0, iterations=3),
        "fat": (mean > -120) & (mean < -80) & even,
        "soft tissue": (mean > 20) & (mean < 80) & even,
        "bone": mean > 300,
    }
    return {name: (float(hu[part & middle].mean()), float(found[part & middle].mean())) for name, part in parts.items()}


def lps(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """[x, y, z] values to the patient's left, back and head, and their affine in LPS mm."""
    from monai.transforms import Orientation

    image = Orientation("LPS", labels=None)(read_ct(path, check_hu=False))
    return image.numpy()[0], LPS_TO_RAS @ np.asarray(image.affine, dtype=np.float64)


def main(folder: Path = OUTPUT, views: int = 180) -> dict[str, tuple[float, float]]:
    """Runs the example.

    Args:
        folder: where to write.
        views: views of the full turn.

    Returns:
        (CT, reconstruction) mean HU by part of the body.
    """
    hu, affine = lps(SAMPLE / "chest.nii.gz")
    voxel_mm = tuple(np.linalg.norm(affine[:3, :3], axis=0).tolist())
    simulate_scanner(folder, hu, voxel_mm, views, seed=3)
    to_patient = affine @ np.linalg.inv(scan_geometry(hu.shape, voxel_mm, 2).volume_affine)
    scan = {
        "geometry": str(folder / "geometry.xml"),
        "flat": str(folder / "flat.mha"),
        "dark": str(folder / "dark.mha"),
        "bad_pixels": "find",
        "volume_shape": list(hu.shape),
        "voxel_mm": [round(size, 6) for size in voxel_mm],
    }
    run("import", projections=str(folder / "water.mha"), output=str(folder / "water.npz"), **scan)
    mu_water = round(measure_mu_water(folder / "water.npz"), 5)
    print(f"water phantom: mu_water {mu_water} per mm (the beam has {BEAM_MU_WATER_PER_MM})\n")
    run(
        "import",
        projections=str(folder / "patient.mha"),
        output=str(folder / "patient.npz"),
        **scan,
        mu_water_per_mm=mu_water,
        world_to_patient=np.round(to_patient, 4).tolist(),
    )
    volume = folder / "patient.nii.gz"
    run("reconstruct", source=str(folder / "patient.npz"), output=str(volume), method="fdk")
    parts = compare(volume, hu, lps(SAMPLE / "chest_lungs.nii.gz")[0])
    print("mean HU        CT   reconstruction")
    for name, (truth, found) in parts.items():
        print(f"{name:<12}{truth:6.0f}{found:17.0f}")
    return parts


if __name__ == "__main__":
    os.chdir(ROOT)
    main()
