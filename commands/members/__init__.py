"""`creditledger member`: the members of the network and their proposals."""
