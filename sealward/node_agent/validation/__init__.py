"""Validation of one node's servers: measuring, comparison with references, and the reports about both."""
