"""Preconditions of a night, a file for each kind of subject; `subjects.py` has them all."""
