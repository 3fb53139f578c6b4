"""Decide which rows to delete, prove that they are archived, and delete them."""
