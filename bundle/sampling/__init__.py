"""Choosing the views and the points that a training item uses."""
