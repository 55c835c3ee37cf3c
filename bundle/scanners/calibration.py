"""What turns a scanner's stored images into line integrals: references, defects, and how counts are stored."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bundle.errors import InputError
from bundle.scanners.bad_pixels import detector_image, find_bad_pixels, pixels_without_counts
from bundle.scanners.counts import counts_to_attenuation, elekta_counts
from bundle.scanners.projection_images import ProjectionImages, list_projection_files, read_projection_images
from bundle.scanners.provenance import describe_files

__all__ = ["FIND", "Calibration"]

FIND = "find"
"""Value of bad_pixels that looks for them in the open field and in the views."""

_MOST_FOUND = 0.1  # of the detector; what is filled in across larger gaps is invented

Images = str | os.PathLike | Iterable[str | os.PathLike]


@dataclass(frozen=True, eq=False)
class Calibration:
    """How counts become line integrals; see :func:`bundle.scanners.counts.counts_to_attenuation`.

    Args:
        i0: unattenuated counts, dark ones included, one number or one per imported view.
        flat: files or folder of open-field images, whose mean is taken, or [v, u] counts.
        dark: files or folder of images without X-rays, whose mean is taken, [v, u] counts, or one number.
        bad_pixels: file of an image that is not zero where a pixel is bad, [v, u] truth values, or "find", which looks
            for them in flat and dark, and for pixels without counts in any view.
        air_region: pixels (v0, v1, u0, u1) that see only air in every view.
        minimum_counts: least counts before the logarithm.
        inverted: whether all images that are given as files hold 65536 - counts, as Elekta's .his do. Must be said for
            .his; other formats are not unless it is.
    """

    i0: float | Sequence[float] | None = None
    flat: Images | np.ndarray | None = None
    dark: Images | np.ndarray | float | None = None
    bad_pixels: str | os.PathLike | np.ndarray | None = None
    air_region: Sequence[int] | None = None
    minimum_counts: float = 1.0
    inverted: bool | None = None

    def given(self) -> list[str]:
        """Names of what is set."""
        return [
            name
            for name, field in self.__dataclass_fields__.items()
            if not (
                getattr(self, name) is field.default
                or (isinstance(field.default, float) and getattr(self, name) == field.default)
            )
        ]

    def attenuation(
        self,
        images: ProjectionImages,
        source: object,
        views: Sequence[int] | None = None,
        check_projections: bool = True,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Line integrals of a scan's images.

        Args:
            images: as stored.
            source: what to name in messages.
            views: the images to use, in this order; all if None.
            check_projections: as in counts_to_attenuation.

        Returns:
            [view, v, u] float32 line integrals, and a record of what was applied: plain values.

        Raises:
            InputError: as counts_to_attenuation, when a file cannot be used, or it is not said whether .his images
                are inverted.
        """
        if images.format == "his" and self.inverted is None:
            raise InputError(
                "inverted",
                "is not said, and .his files hold counts or, from Elekta, 65536 - counts.",
                "Say inverted=True for Elekta (the object is bright in the stored images), else False.",
            )
        record: dict[str, Any] = {"inverted": bool(self.inverted), "minimum_counts": float(self.minimum_counts)}
        values = images.values if views is None else images.values[list(views)]
        values = self._counts(values, source)
        flat, record["flat"] = self._reference("flat", self.flat)
        if flat is not None and (isinstance(flat, float) or flat.ndim != 2):
            raise InputError("flat", f"is {self.flat!r}.", "Give images; a number of counts is i0.")
        dark, record["dark"] = self._reference("dark", self.dark)
        bad, record["bad_pixels"] = self._bad_pixels(flat, dark, values)
        record["i0"] = None if self.i0 is None else np.asarray(self.i0, dtype=float).tolist()
        record["air_region"] = None if self.air_region is None else [int(edge) for edge in self.air_region]
        return counts_to_attenuation(
            values,
            i0=self.i0,
            flat=flat,
            dark=dark,
            bad_pixels=bad,
            air_region=None if self.air_region is None else tuple(self.air_region),  # type: ignore[arg-type]
            minimum_counts=self.minimum_counts,
            source=source,
            check_projections=check_projections,
        ), record

    def _counts(self, stored: np.ndarray, source: object) -> np.ndarray:
        if not self.inverted:
            return stored
        if stored.size and not (stored.min() >= 0 and stored.max() <= 65535):
            raise InputError(source, "holds no 16-bit numbers, which inverted images do.", "Leave inverted out.")
        return elekta_counts(stored)

    def _reference(self, name: str, value: Any) -> tuple[np.ndarray | float | None, Any]:
        """Counts of flat or dark, and what to record of them."""
        if value is None:
            return None, None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return float(value), float(value)
        if isinstance(value, np.ndarray):
            return value, "given as an array"
        images = read_projection_images(value)
        stored = self._counts(images.values, name)
        record = {"images": len(stored), "files": describe_files(list_projection_files(value)[1])}
        return stored.mean(axis=0, dtype=np.float64), record

    def _bad_pixels(
        self, flat: np.ndarray | None, dark: np.ndarray | float | None, counts: np.ndarray
    ) -> tuple[np.ndarray | None, dict[str, Any]]:
        """[v, u] mask of the bad pixels, and what to record of it."""
        value = self.bad_pixels
        if value is None:
            return None, {"source": None, "count": 0}
        source: str | list[dict[str, str]]
        if isinstance(value, np.ndarray):
            mask, source = value, "given as an array"
        elif value == FIND:
            mask, source = self._found(flat, dark, counts)
        else:
            images = read_projection_images(value)
            if len(images.values) != 1:
                raise InputError(value, f"holds {len(images.values)} images.", "Give one image of the bad pixels.")
            mask, source = images.values[0] != 0, describe_files(list_projection_files(value)[1])
        if mask.shape != counts.shape[1:]:
            raise InputError(
                "bad_pixels", f"has the shape {mask.shape}.", f"The detector is {counts.shape[1:]} (v, u)."
            )
        return mask, {"source": source, "count": int(np.count_nonzero(mask))}

    def _found(
        self, flat: np.ndarray | None, dark: np.ndarray | float | None, counts: np.ndarray
    ) -> tuple[np.ndarray, str]:
        """[v, u] mask of the bad pixels in the open field, if there is one, and in the views; and where they were."""
        shape = counts.shape[1:]
        offset = None if dark is None else detector_image("dark", dark, shape, np.ones(shape, bool))
        mask, where = pixels_without_counts(counts, offset, self.minimum_counts), "found in the views"
        if flat is not None:
            if flat.shape != shape:
                raise InputError(
                    "flat", f"has the shape {flat.shape}.", f"Give an image of the detector's {shape} (v, u)."
                )
            mask, where = mask | find_bad_pixels(flat, dark), "found in the open field and the views"
        share = np.count_nonzero(mask) / mask.size
        if share > _MOST_FOUND:
            raise InputError(
                "bad_pixels",
                f"are {100 * share:.0f} % of the detector, too many to be filled in.",
                "Check flat and dark; crop the images, their geometry too, where a part of the detector is dead.",
            )
        return mask, where
