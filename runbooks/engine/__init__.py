"""Runs any checklist; depends on none."""
