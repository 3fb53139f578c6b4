"""The bench: measures the product, its limits and its peers on the same rows in the same run. README.md explains it."""
