"""The chain: hashes, Merkle trees, batches, headers, certificates and blocks."""
