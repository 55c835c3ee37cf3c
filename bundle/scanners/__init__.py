"""Scan geometries and projections in the formats of scanners and of neighbouring tools."""
