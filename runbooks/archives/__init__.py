"""What is done with archives beside making and restoring them, and how that is told."""
