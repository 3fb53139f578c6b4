"""Upkeep of the databases: free disk, and what is told of it."""
