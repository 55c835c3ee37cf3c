"""Classical reconstruction: the compared methods that need no training, and steps towards measured data.

Every method is an object that is called with projections [B, views, V, U], line integrals of the wanted value in
value times mm, the scan's geometry, and optionally a volume to start from; it gives a volume [B, 1, X, Y, Z].
"""

from bundle.classical.cgls import CGLS
from bundle.classical.consistency import DataConsistency
from bundle.classical.fdk import FDK
from bundle.classical.methods import METHODS, make_method
from bundle.classical.residuals import ViewResidual, view_residuals
from bundle.classical.sart import SART
from bundle.classical.total_variation import TotalVariation

__all__ = [
    "CGLS",
    "FDK",
    "METHODS",
    "SART",
    "DataConsistency",
    "TotalVariation",
    "ViewResidual",
    "make_method",
    "view_residuals",
]
