"""The lab: a miniature of production, with real servers on this machine."""
