"""Registrations of nodes, and the questions of nodes about servers of other nodes."""
