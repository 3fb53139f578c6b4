"""Estimate the sizes of tenants, and the duration of archiving."""
