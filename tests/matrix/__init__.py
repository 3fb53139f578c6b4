"""Every adversity on every path: what is not tried has a reason, and nothing is lost by what is."""
