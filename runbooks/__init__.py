"""Procedures: a checklist reads like the checklist."""
