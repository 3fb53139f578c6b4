"""May anything be deleted? All that can point at a tenant's rows, asked of the live catalogue; and a first catalog."""
