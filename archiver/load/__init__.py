"""Load archived rows into live tables, and find what prevents it."""
