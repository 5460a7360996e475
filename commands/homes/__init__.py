"""Commands for a node's home: made, kept, mended, copied, given away."""
