"""The lab: a production in miniature, real servers on this machine."""
