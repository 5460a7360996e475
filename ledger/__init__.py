"""The chain and what it means: deterministic, without clock, randomness, sockets or threads."""
