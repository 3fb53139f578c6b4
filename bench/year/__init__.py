"""Apangea's year at a scale: how large it is, and its rows in PostgreSQL."""
