"""The transparency log: a Merkle tree over the events, signed checkpoints, witnesses, and proofs."""
