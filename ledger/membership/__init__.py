"""Who belongs to the network: members, their keys and roles, the genesis document."""
