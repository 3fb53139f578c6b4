"""The commands of the lab's hosts: what stands for the tools of production, and does their work here."""
