"""How big tenants are, and how long their archives take."""
