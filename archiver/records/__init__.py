"""The ledger in schema `archiver`: records of archives, moves and purges, markers, audit log, indexes and holds."""
