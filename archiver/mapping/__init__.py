"""Mapping of an archived schema to today's. Pure."""
