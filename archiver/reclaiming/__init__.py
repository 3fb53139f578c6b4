"""The end of a tenant's live rows: which go, the proof that they are archived, and their deletion."""
