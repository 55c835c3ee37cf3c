"""Prepared data sets: how cases are stored, and how training and evaluation read them."""
