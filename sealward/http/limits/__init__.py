"""Limits on what each client address and each token may hold at a time."""
