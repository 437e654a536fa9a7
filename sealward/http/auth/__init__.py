"""Tokens, identities and the rules of who may do what."""
