"""What the archiver's results say to a person."""
