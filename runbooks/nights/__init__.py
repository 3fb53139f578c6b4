"""A night in an environment: conducted, kept, watched, told of, given up."""
