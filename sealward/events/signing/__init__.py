"""Envelopes, statements and keys: the signed payloads, and the verification of signatures."""
