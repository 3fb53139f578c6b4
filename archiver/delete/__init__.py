"""Which rows to delete, the proof that they are archived, and their deletion."""
