"""Knees and legs."""
