"""What else does such work, each on the same rows: PostgreSQL's own programs, slice-db, and the tool of 2013."""
