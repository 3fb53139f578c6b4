"""Rows out of the live databases: of one tenant, of many, of a month."""
