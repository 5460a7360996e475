"""Lending: products, applications, decisions, loans, exposure; all by rule, all on the chain."""
