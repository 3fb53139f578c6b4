"""The inventory: hosts, databases, names, nights, and which tables belong to a school."""
