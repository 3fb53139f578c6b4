"""What the engine says of a plan and of a run."""
