"""Segmenters of CT behind one interface, by which reconstructions are compared with the truth."""
