"""The kinds of archives, a file each: what differs between them. `registry.py` lists them."""
