"""Checks that change nothing: the audit, integrity, unreferenced objects in the store, and stored schemas."""
