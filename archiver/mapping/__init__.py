"""An archived schema onto today's. Pure."""
