"""Further tasks under `inv archive.…`, a file a subject: lists, contents, estimates, the catalog, workers."""
