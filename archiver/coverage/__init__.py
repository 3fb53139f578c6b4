"""Does the catalog know all that can point at a tenant's rows? And a first catalog, where there is none."""
