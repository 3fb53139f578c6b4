"""Extraction: rows read from the live databases, for one tenant, for many, or for a month."""
