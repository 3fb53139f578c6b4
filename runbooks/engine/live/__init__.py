"""The engine's live ports: SSH, jobs, console, clock, lock, and the journal in the store."""
