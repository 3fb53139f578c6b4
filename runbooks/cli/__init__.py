"""The command line that all tasks share: declaration, options, the host that a task runs on, and results."""
