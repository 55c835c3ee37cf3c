"""HU of tissues, contrast phases and materials, with the published source of each.

Values of unenhanced soft tissues and bones are those that Schneider, Bortfeld & Schlegel 2000 (Physics in Medicine and
Biology 45:459-478, table 1) calculated for 120 kVp from the compositions and densities of Woodard & White 1986 (British
Journal of Radiology 59:1209), White, Woodard & Hammond 1987 (BJR 60:907) and ICRU Report 46 (1992), rounded. Those
of contrast phases are the usual ranges of portal-venous and arterial scans (Bae 2010, Radiology 256:32-61). Spreads
between patients cover age, scanner, tube voltage and timing; they are choices, wider than any one study's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bundle.data.anatomy.canvas import Paint
from bundle.data.anatomy.variation import Draw
from bundle.errors import InputError

__all__ = ["MATERIALS", "PHASES", "TISSUES", "Palette", "Tissue", "draw_palette"]

PHASES = ("native", "arterial", "portal", "late")

_SCHNEIDER = "Schneider 2000, table 1 (Woodard & White 1986; White 1987; ICRU 46)"
_BAE = "Bae 2010, Radiology 256:32"
_KODA = "range of daily practice; unenhanced: " + _SCHNEIDER


@dataclass(frozen=True)
class Tissue:
    """What one tissue looks like in CT.

    Args:
        hu: mean over patients, unenhanced.
        between: standard deviation of the mean between patients.
        within: standard deviation of the texture within one patient, without noise.
        source: of the mean.
        enhanced: mean in other phases than the native one, where contrast changes it.
        enhanced_between: standard deviation between patients in these phases.
        kind: of texture.
        limits: that the patient's mean is held within, in every phase.
    """

    hu: float
    between: float
    within: float
    source: str
    enhanced: Mapping[str, float] = field(default_factory=dict)
    enhanced_between: float = 0.0
    kind: str = "tissue"
    limits: tuple[float, float] = (-1000.0, 4000.0)


def _phases(arterial: float, portal: float, late: float) -> dict[str, float]:
    return {"arterial": arterial, "portal": portal, "late": late}


TISSUES: dict[str, Tissue] = {
    # fat and walls
    "skin": Tissue(20, 25, 8, _SCHNEIDER + "; lowered for the dry surface and the scanner's blur"),
    "fat": Tissue(-103, 6, 7, _SCHNEIDER + ": adipose tissue", kind="coarse"),
    "visceral_fat": Tissue(-99, 7, 9, _SCHNEIDER + ": adipose tissue", kind="coarse"),
    "muscle": Tissue(50, 8, 9, _SCHNEIDER + ": skeletal muscle", _phases(58, 64, 62), 8),
    "tendon": Tissue(85, 15, 8, "ICRU 46: connective tissue"),
    "cartilage": Tissue(98, 20, 15, _SCHNEIDER),
    "disc": Tissue(80, 14, 10, _SCHNEIDER + ": cartilage, less its water"),
    "gland": Tissue(15, 20, 25, _SCHNEIDER + ": mammary gland", kind="coarse"),
    # chest
    "lung": Tissue(-835, 40, 30, "Schneider 2000: inflated lung; at full inspiration lower", limits=(-910, -650)),
    "airway_wall": Tissue(20, 15, 5, _KODA),
    "blood": Tissue(45, 6, 4, _SCHNEIDER + "; anaemia lowers it", _phases(300, 150, 115), 45),
    "venous_blood": Tissue(45, 6, 5, _SCHNEIDER + "", _phases(150, 150, 115), 40),
    "portal_blood": Tissue(45, 6, 5, _SCHNEIDER + "", _phases(70, 165, 120), 20),
    "pulmonary_blood": Tissue(45, 6, 5, _SCHNEIDER + "", _phases(270, 145, 112), 50),
    "myocardium": Tissue(45, 6, 8, _SCHNEIDER + ": heart", _phases(105, 105, 95), 15),
    "thyroid": Tissue(100, 20, 12, "iodine in the gland, " + _KODA, _phases(170, 150, 130), 25),
    # abdomen
    "liver": Tissue(55, 9, 8, _SCHNEIDER + "", _phases(68, 108, 98), 13, limits=(5, 160)),
    "spleen": Tissue(48, 5, 7, _SCHNEIDER + "", _phases(120, 118, 98), 16),
    "pancreas": Tissue(38, 7, 14, _SCHNEIDER + ": pancreas", _phases(105, 88, 72), 14),
    "kidney_cortex": Tissue(34, 5, 6, _SCHNEIDER + ": kidney", _phases(175, 180, 165), 25),
    "kidney_medulla": Tissue(32, 5, 6, _SCHNEIDER + ": kidney", _phases(70, 160, 170), 25),
    "adrenal": Tissue(25, 10, 8, _KODA, _phases(60, 70, 60), 12),
    "bile": Tissue(8, 6, 3, "water to bile, " + _KODA),
    "urine": Tissue(6, 5, 3, "water to urine, " + _KODA, {"late": 250}, 120, limits=(-5, 900)),
    "bowel_wall": Tissue(42, 7, 9, _SCHNEIDER + ": gastrointestinal tract", _phases(75, 90, 78), 15),
    "bowel_fluid": Tissue(18, 14, 12, "water to chyme, " + _KODA),
    "stool": Tissue(20, 45, 70, "gas, fat and solids mixed, " + _KODA, kind="coarse"),
    "bowel_gas": Tissue(-985, 10, 10, "gas"),
    "uterus": Tissue(45, 7, 9, _SCHNEIDER + ": soft tissue", _phases(85, 110, 95), 18),
    "prostate": Tissue(38, 6, 10, _SCHNEIDER + ": soft tissue", _phases(55, 70, 68), 12),
    "lymph_node": Tissue(40, 8, 6, _SCHNEIDER + ": soft tissue", _phases(65, 85, 80), 12),
    # nervous system
    "grey_matter": Tissue(38, 2.5, 2.5, _SCHNEIDER + ": brain", _phases(42, 43, 43), 3),
    "white_matter": Tissue(29, 2.5, 2.0, _SCHNEIDER + ": brain; less for white matter", _phases(31, 32, 32), 3),
    "csf": Tissue(7, 3, 2, "water to cerebrospinal fluid, " + _KODA),
    "spinal_cord": Tissue(36, 4, 3, _SCHNEIDER + ": brain"),
    "eye": Tissue(12, 4, 2, "vitreous near water, " + _KODA),
    "lens": Tissue(90, 12, 4, "ICRU 46: eye lens"),
    # bone
    "cortical_bone": Tissue(
        1180, 190, 90, _SCHNEIDER + ": cortical bone; lower by porosity", limits=(650, 1750), kind="bone"
    ),
    "thin_cortex": Tissue(
        620, 130, 50, _SCHNEIDER + ": cortical bone, in cortices thinner than the scanner resolves", kind="bone"
    ),
    "skull_bone": Tissue(1100, 180, 120, _SCHNEIDER + ": cranium", limits=(600, 1700), kind="bone"),
    "trabecular_bone": Tissue(230, 70, 42, _SCHNEIDER + ": spongiosa", limits=(60, 450), kind="bone"),
    "vertebral_bone": Tissue(165, 55, 26, "L1 by age: Pickhardt 2011, JBMR 26:2194", limits=(40, 320), kind="bone"),
    "rib_bone": Tissue(190, 80, 50, _SCHNEIDER + ": between spongiosa and red marrow", kind="bone"),
    "diploe": Tissue(450, 120, 110, _SCHNEIDER + ": spongiosa, with trabeculae", kind="bone"),
    "yellow_marrow": Tissue(-60, 25, 20, _SCHNEIDER + ": yellow marrow", kind="coarse"),
    "red_marrow": Tissue(25, 25, 15, _SCHNEIDER + ": red marrow"),
    "growth_plate": Tissue(110, 20, 12, _SCHNEIDER + ": cartilage"),
    "tooth_enamel": Tissue(2450, 250, 120, "ICRU 46: tooth; enamel's density 2.9 g/cm3"),
    "tooth_dentine": Tissue(1550, 150, 80, "ICRU 46: tooth; dentine's density 2.1 g/cm3"),
    "calcification": Tissue(650, 250, 120, "plaque and old cartilage, " + _KODA, limits=(200, 1500)),
    # disease
    "effusion": Tissue(10, 8, 4, "water to exudate, " + _KODA),
    "consolidation": Tissue(20, 30, 60, "air replaced by fluid, " + _KODA, _phases(50, 60, 55), 25),
    "cyst": Tissue(6, 5, 3, "water, " + _KODA),
    "tumour": Tissue(35, 12, 14, "soft tissue, " + _KODA, _phases(60, 68, 62), 20),
}

MATERIALS: dict[str, Tissue] = {
    "titanium": Tissue(3600, 500, 0, "density 4.5 g/cm3; beyond the 12-bit range of CT, which is clipped"),
    "steel": Tissue(6500, 1500, 0, "density 7.9 g/cm3; beyond the 12-bit range of CT, which is clipped"),
    "amalgam": Tissue(7500, 2000, 0, "density 11 g/cm3; beyond the 12-bit range of CT, which is clipped"),
    "bone_cement": Tissue(1300, 300, 60, "methyl methacrylate with barium or zirconium oxide, 5 to 15 % by weight"),
    "polyethylene": Tissue(-75, 20, 0, "ICRU 46: polyethylene, 0.94 g/cm3"),
    "silicone": Tissue(110, 60, 4, "silicone gel and rubber, 1.0 to 1.2 g/cm3, with the higher absorption of silicon"),
    "acrylic": Tissue(120, 10, 0, "ICRU 46: polymethyl methacrylate, 1.17 to 1.19 g/cm3"),
    "carbon_fibre": Tissue(-150, 200, 20, "fibre laminate with resin, thinner than a voxel"),
    "foam": Tissue(-945, 25, 6, "polyurethane foam, 0.03 to 0.1 g/cm3"),
    "mattress": Tissue(-900, 50, 15, "polyurethane foam with a cover"),
    "cloth": Tissue(-800, 90, 40, "woven cotton with air, 0.1 to 0.3 g/cm3"),
    "plastic": Tissue(50, 150, 0, "polypropylene to PVC, 0.9 to 1.4 g/cm3"),
    "air": Tissue(-1000, 0, 0, "definition"),
}


class Palette:
    """The HU of one patient: paints by tissue or material name.

    Args:
        paints: by name.
        phase: contrast phase that they belong to.
    """

    def __init__(self, paints: Mapping[str, Paint], phase: str) -> None:
        self.paints = dict(paints)
        self.phase = phase

    def __getitem__(self, name: str) -> Paint:
        return self.paints[name]


def draw_palette(draw: Draw, phase: str) -> Palette:
    """Draws one patient's HU of every tissue and material.

    A common shift of all soft tissues stands for the calibration of the scanner, one of all bones for age.

    Args:
        draw: gives the numbers.
        phase: one of ``PHASES``.

    Raises:
        InputError: for an unknown phase.
    """
    if phase not in PHASES:
        raise InputError("phase", f"is {phase!r}.", f"Choose one of {', '.join(PHASES)}.")
    draw = draw.part("palette")
    calibration = draw.normal(0.0, 3.0)
    bone = draw.normal(0.0, 0.7, 2.0)
    timing = draw.normal(0.0, 0.6, 2.0)
    paints = {}
    for name, tissue in {**TISSUES, **MATERIALS}.items():
        own = draw.normal(0.0, 0.75, 2.0)
        texture = tissue.within * draw.log_normal(1.0, 0.3)
        mean, between, common = tissue.hu, tissue.between, 0.0
        if "bone" in name or name == "diploe":
            common = bone
        if phase in tissue.enhanced:
            mean, between, common = tissue.enhanced[phase], tissue.enhanced_between, timing
        hu = mean + between * (0.7 * common + (0.7 if common else 1.0) * own)
        if name in TISSUES and -200 < mean < 400:
            hu += calibration
        paints[name] = Paint(min(max(hu, tissue.limits[0]), tissue.limits[1]), texture, tissue.kind)
    return Palette(paints, phase)
