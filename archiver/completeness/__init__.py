"""Completeness: everything in the live catalogue that can point at a tenant's rows; and the draft of a catalog."""
