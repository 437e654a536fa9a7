"""Sub-commands about nodes and their domains."""
