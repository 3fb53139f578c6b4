"""Archives proved by restoring them: loaded into bare tables of the scratch database, read back, and compared."""
