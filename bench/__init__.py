"""How fast: the product, its limits and its peers on the same rows in the same run. README.md says how to read it."""
