"""Envelopes, statements and keys: what is signed, and how a signature is verified."""
