"""How much a client address and a token may have at a time."""
