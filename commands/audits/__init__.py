"""Commands that judge: chains, receipts, evidence, anchors of trust."""
