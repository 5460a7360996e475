"""`creditledger product` and `rule`: what is lent on which terms, what is watched, what-if."""
