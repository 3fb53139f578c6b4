"""Archived rows into live tables, and what would stand in their way."""
