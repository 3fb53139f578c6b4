"""The peers, measured on the same rows: PostgreSQL's own programs, slice-db, and the tool of 2013."""
