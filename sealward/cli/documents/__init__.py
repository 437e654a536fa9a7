"""Sub-commands that print a document made from the code."""
