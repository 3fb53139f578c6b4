"""One tenant out of its live databases into a file that can be brought back, and back again."""
