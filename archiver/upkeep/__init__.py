"""Space given back: which tables are bloated, and their rewriting."""
