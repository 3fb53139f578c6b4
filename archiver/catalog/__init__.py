"""The tables that belong to a tenant, the links by which their rows are found, and their order. Pure."""
