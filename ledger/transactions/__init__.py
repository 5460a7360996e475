"""Transactions: the signed envelope and the typed bodies it carries."""
