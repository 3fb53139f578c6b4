"""People of old out of master: who may go, archived together like a school, deleted, and brought back."""
