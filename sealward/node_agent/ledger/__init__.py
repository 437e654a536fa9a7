"""The ledger: everything that a node keeps on its own disk."""
