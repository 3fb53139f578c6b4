"""Is what the catalog says true of the live rows? Shared, doubtful and lost rows, counted and named."""
