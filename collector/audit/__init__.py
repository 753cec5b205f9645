"""The audit log: governed acts as a chain of hashes under a Merkle tree, with signed checkpoints kept elsewhere."""
