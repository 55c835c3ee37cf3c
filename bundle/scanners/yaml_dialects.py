"""How TIGRE and the tools that project with it each write and read their YAML files."""

from __future__ import annotations

from dataclasses import dataclass, replace

__all__ = ["DIALECTS", "Dialect"]


@dataclass(frozen=True)
class Dialect:
    """How a tool reads its YAML file.

    Args:
        tool: the tool, for messages.
        section: key that the geometry is nested under; None if it is at the top level.
        volume_order: axes of nVoxel, dVoxel, sVoxel and offOrigin, "xyz" or "zyx".
        detector_order: axes of nDetector, dDetector and sDetector, "vu" or "uv"; None where parts of the tool disagree.
        offset_order: axes of offDetector.
        v_offset_known: whether all parts of the tool shift the detector along z in the same direction.
        row_direction: direction of growing row index in the projections that the tool stores.
        view_keys: keys of the number of evenly spaced views.
        arc_keys: keys of the arc and its start, in degrees; the end of the arc is left out.
        angles_key: key of a list of angles in radians.
    """

    tool: str
    section: str | None = None
    volume_order: str = "xyz"
    detector_order: str | None = "vu"
    offset_order: str = "uv"
    v_offset_known: bool = True
    row_direction: str = "-z"
    view_keys: tuple[str, ...] = ()
    arc_keys: tuple[str, str] | None = ("totalAngle", "startAngle")
    angles_key: str | None = None


_C2RV = Dialect(
    "C2RV",
    section="projector",
    view_keys=("n_porjections", "n_projections"),  # the first is how the tools spell it
    arc_keys=("total_angle", "start_angle"),
)
# NAF's generator hands nDetector and dDetector to TIGRE, as (v, u), and its rays take them as (u, v); the rays also
# shift the detector by the second entry of offDetector along -z, where TIGRE shifts it along +z.
_NAF = Dialect("NAF", detector_order=None, v_offset_known=False, view_keys=("numTrain",))

DIALECTS = {
    "tigre": Dialect(
        "TIGRE (Python)",
        volume_order="zyx",
        offset_order="vu",
        row_direction="+z",
        arc_keys=None,
        angles_key="angles",
    ),
    "naf": _NAF,
    "saxnerf": replace(_NAF, tool="SAX-NeRF"),
    # DIF-Net's network takes the first entry of nDetector and dDetector for both axes and knows no offsets.
    "difnet": Dialect("DIF-Net", detector_order=None, view_keys=("numTrain",)),
    "c2rv": _C2RV,
    "deepsparse": replace(_C2RV, tool="DeepSparse"),
    "r2gaussian": Dialect("R2-Gaussian"),
}
"""How each tool reads its file, by the name to give as `dialect`."""
