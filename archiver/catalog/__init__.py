"""Which tables belong to a tenant, how its rows are found, and in which order they depend on each other. Pure."""
