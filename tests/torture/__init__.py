"""The archiver under torture: killed at every write, with a store that lies, a full disk, and writers at the rows."""
