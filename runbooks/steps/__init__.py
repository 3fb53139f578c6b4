"""The steps, one file for each area: what each step does, and what proves it."""
