"""A state given from node to node, piece by piece, each proved against a certified root."""
