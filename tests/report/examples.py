"""Small findings with known numbers, and volumes to draw."""

from __future__ import annotations

import math
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from bundle.report import Findings, Picture
from tests.datasets.formats import reoriented

SHAPE, SPACING = (24, 32, 20), (1.5, 1.0, 2.5)  # left, back, head
RIGHT, LEFT = "right lung", "left lung"


def row_keys(case: str, method: str, views: int, perturbation: str = "none", level: float | None = None) -> dict:
    return {
        "case": case,
        "method": method,
        "views": views,
        "perturbation": perturbation,
        "level": level,
        "unit": "" if level is None else "photons",
    }


def quality_row(case: str, method: str, views: int, psnr: float, *perturbed: Any, vif: float | None = 0.41) -> dict:
    return {
        **row_keys(case, method, views, *perturbed),
        "psnr_db": psnr,
        "ssim_3d": psnr / 40,
        "ssim_slices": psnr / 41,
        "vif": vif,
    }


def structure_row(case: str, method: str, views: int, structure: str, dice: float | None, *perturbed: Any) -> dict:
    """Found in both if Dice is positive, missed if it is 0, in neither if it is None."""
    found = "neither" if dice is None else "both" if dice else "reference only"
    return {
        **row_keys(case, method, views, *perturbed),
        "reference": "segmented",
        "structure": structure,
        "found": found,
        "dice": dice,
        "assd_mm": 10 * (1 - dice) if dice else None,
        "hd95_mm": 40 * (1 - dice) if dice else None,
        "volume_ml": 2000 * (dice or 0),
        "reference_volume_ml": 2000.0 if dice is not None else 0.0,
    }


def summarised(quality: list[dict], structures: list[dict]) -> list[dict]:
    """Means, with an interval of 0.04 to both sides."""
    groups: dict[tuple, list] = {}
    for row in [*quality, *structures]:
        metrics = ("dice", "assd_mm", "hd95_mm") if "dice" in row else ("psnr_db", "ssim_3d", "ssim_slices", "vif")
        keys = [row[name] for name in ("perturbation", "level", "unit", "views", "method")]
        for metric in metrics:
            group = (*keys, row.get("reference", ""), row.get("structure", ""), metric)
            groups.setdefault(group, []).append(row[metric])
    names = ("perturbation", "level", "unit", "views", "method", "reference", "structure", "metric")
    made = []
    for group, values in groups.items():
        known = [value for value in values if value is not None and math.isfinite(value)]
        mean = float(np.mean(known)) if known else None
        several = len(known) > 1
        made.append(
            {
                **dict(zip(names, group)),
                "mean": mean,
                "low": mean - 0.04 if several else None,
                "high": mean + 0.04 if several else None,
                "median": float(np.median(known)) if known else None,
                "worst": min(known, default=None),
                "n": len(known),
                "undefined": len(values) - len(known),
            }
        )
    return made


def make_findings(pictures: list[Picture] | None = None, **changes: Any) -> Findings:
    """Three cases with two methods at 6 and 9 views; fdk misses the right lung of case b at 6 views."""
    dice = {"deepsparse": (0.95, 0.93, 0.91), "fdk": (0.85, 0.0, 0.81)}
    quality, structures = [], []
    for views in (6, 9):
        for method, offset in (("fdk", 0.0), ("deepsparse", 4.0)):
            for i, case in enumerate(("a", "b", "c")):
                vif = None if (method, case) == ("fdk", "c") else 0.41
                quality.append(quality_row(case, method, views, 22.0 + offset + i + views / 10, vif=vif))
                right = dice[method][i] if views == 6 else 0.9
                structures.append(structure_row(case, method, views, RIGHT, right))
                structures.append(structure_row(case, method, views, LEFT, 0.875))
    compared = {
        "perturbation": "none",
        "level": None,
        "unit": "",
        "views": 6,
        "reference": "segmented",
        "structure": RIGHT,
        "metric": "dice",
        "method": "deepsparse",
        "other": "fdk",
        "difference": 0.377,
        "low": 0.101,
        "high": 0.93,
        "p_value": None,
        "n": 3,
        "test": "Wilcoxon signed-rank",
    }
    agreed = {
        "perturbation": "none",
        "level": None,
        "unit": "",
        "views": 6,
        "method": "deepsparse",
        "reference": "segmented",
        "structure": RIGHT,
        "n": 3,
        "bias_ml": -140.04,
        "lower_ml": -218.4,
        "upper_ml": -61.6,
        "bias_low_ml": -239.4,
        "bias_high_ml": -40.6,
    }
    content: dict[str, Any] = {
        "title": "Lungs of three cases",
        "method": "deepsparse",
        "settings": {"created": "2026-01-02", "segmenter": {"name": "threshold lungs", "sha256": "ab" * 32}},
        "versions": {"monai": "1.6.1"},
        "policy": "Dice is 0 where one mask is empty.",
        "quality": quality,
        "structures": structures,
        "summary": summarised(quality, structures),
        "comparisons": [
            compared,
            {**compared, "metric": "psnr_db", "structure": "", "difference": 4.0, "p_value": 0.0004},
        ],
        "agreement": [agreed],
        "residuals": [
            {"case": "a", "method": "fdk", "views": 6, "view": i, "angle_deg": 30.0 * i, "relative": 0.1 + i / 100}
            for i in range(6)
        ],
        "pictures": pictures or [],
        "problems": ["The segmenter found no right lung in 1 of 3 reconstructions with fdk at 6 views."],
    }
    return Findings(**(content | changes))


def only(quality: list[dict], structures: list[dict], **changes: Any) -> Findings:
    """Findings of some rows alone."""
    empty: dict[str, Any] = {name: [] for name in ("comparisons", "agreement", "residuals", "problems")}
    content = {"quality": quality, "structures": structures, "summary": summarised(quality, structures)}
    return make_findings(**(empty | content | changes))


def perturbed_findings() -> Findings:
    """Two levels of noise at 6 views in two of the three cases."""
    base = make_findings()
    quality = [quality_row(case, "fdk", 6, psnr, "noise", level) for case, level, psnr in _NOISE]
    structures = [structure_row(case, "fdk", 6, LEFT, 0.5, "noise", level) for case, level, _ in _NOISE]
    return make_findings(
        quality=base.quality + quality,
        structures=base.structures + structures,
        summary=base.summary + summarised(quality, structures),
    )


_NOISE = (("a", 1e3, 12.0), ("b", 1e3, 15.0), ("a", 1e5, 20.0), ("b", 1e5, 22.0))


def asymmetric_volumes() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Truth and reconstruction in HU and their label maps, [left, back, head].

    The truth has a bright block at the right, front and head end of its slices; the reconstruction has none. The
    structure lies left of the centre.
    """
    truth = np.full(SHAPE, -500, dtype=np.int16)
    volume = truth.copy()
    truth[2:8, 3:10, 8:18] = 900
    reference, mask = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    reference[6:23, 5:28, 4:17] = 1
    mask[8:23, 5:24, 4:17] = 1
    return truth, volume, reference, mask


def save_volumes(folder: Path, axes: str = "LPS", oblique_deg: float = 0.0) -> list[Path]:
    """Writes the volumes with their voxels stored along other axes; the patient stays the same."""
    folder.mkdir(parents=True, exist_ok=True)
    lps = np.diag([-SPACING[0], -SPACING[1], SPACING[2], 1.0])
    turn = np.deg2rad(oblique_deg)
    rotation = np.eye(4)
    rotation[:2, :2] = [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    paths = []
    for name, values in zip(("truth", "volume", "reference", "mask"), asymmetric_volumes()):
        stored, affine = reoriented(values, lps, axes)
        image = nib.Nifti1Image(np.ascontiguousarray(stored), rotation @ affine)
        paths.append(folder / f"{name}.nii.gz")
        nib.save(image, paths[-1])
    return paths


def make_picture(paths: list[Path], case: str = "a", method: str = "fdk", views: int = 6) -> Picture:
    truth, volume, reference, mask = paths
    files = (volume, truth, mask, reference)
    return Picture(case, method, views, "none", None, "", *files, (-1000.0, 1000.0), "See it.", {1: RIGHT})


class Page(HTMLParser):
    """What a reader finds in a page.

    Attributes:
        tables: rows of cells' texts by the table's label.
        headings: texts of h1 and h2.
        attributes: every (element, attribute, value).
        text: all text.
    """

    def __init__(self, document: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.headings: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self._table: list[list[str]] | None = None
        self._open = ""
        self.feed(document)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag == "table":
            self._table = self.tables.setdefault(dict(attrs)["aria-label"] or "", [])
        elif tag == "tr" and self._table is not None:
            self._table.append([])
        elif tag in ("th", "td") and self._table is not None:
            self._table[-1].append("")
            self._open = "cell"
        elif tag in ("h1", "h2"):
            self.headings.append("")
            self._open = "heading"
        elif tag == "style":
            self._open = "style"

    def handle_endtag(self, tag: str) -> None:
        if tag in ("th", "td", "h1", "h2", "style"):
            self._open = ""

    def handle_data(self, data: str) -> None:
        if self._open == "cell" and self._table is not None:
            self._table[-1][-1] += data
        elif self._open == "heading":
            self.headings[-1] += data
        if self._open != "style":
            self.text += data
