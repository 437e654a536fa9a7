"""The log as an auditor gets it: exported to files, and verified offline with public keys alone."""
