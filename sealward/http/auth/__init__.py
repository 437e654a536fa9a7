"""Tokens, identities and permissions."""
