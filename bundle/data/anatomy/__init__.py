"""Random anatomies as CT shows them, without end and without patients."""

from bundle.data.anatomy.generate import ANATOMIES, generate_anatomy

__all__ = ["ANATOMIES", "generate_anatomy"]
