"""Results of the archiver as text."""
