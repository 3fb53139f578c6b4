"""Disk space: bloat measured, tables rewritten, stray tables dropped, feeds emptied."""
