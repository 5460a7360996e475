"""`creditledger match`: one company, a company offline, the whole province."""
