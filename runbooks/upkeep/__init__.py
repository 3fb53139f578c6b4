"""Further tasks under `inv databases.…`: backups on a database server, and its free disk."""
