"""`creditledger alerts`: early warnings, and the stream of them."""
