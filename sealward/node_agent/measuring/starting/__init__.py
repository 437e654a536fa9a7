"""The changes that a start of a server makes to its definition."""
