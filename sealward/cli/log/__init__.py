"""Sub-commands that read, check or rebuild from the log."""
