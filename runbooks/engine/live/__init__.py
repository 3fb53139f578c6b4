"""The engine's ports with real transport: SSH, jobs, console, clock, lock and journal in the store."""
