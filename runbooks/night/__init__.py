"""A night in an environment: run, kept, watched, reported, abandoned."""
