"""What is true after a block: tables, the block overlay, the authenticated tree, proofs."""
