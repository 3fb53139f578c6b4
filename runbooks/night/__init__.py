"""A night in an environment: run, recorded, watched, reported, abandoned."""
