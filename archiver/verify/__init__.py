"""Verification of archives by restoring them: loaded into the scratch database, read back, and compared."""
