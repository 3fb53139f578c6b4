"""Where the steps live, one file an area: what each does, and what proves it."""
