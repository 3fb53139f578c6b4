"""The commands of the lab's hosts: they replace the tools of production, and really do their work in the lab."""
