"""The ledger in schema `archiver`: archives, markers, log, retained rows, ids and holds."""
