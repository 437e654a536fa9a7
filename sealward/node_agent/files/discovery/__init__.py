"""Finds the files that belong to a domain."""
