"""Which files belong to a domain."""
