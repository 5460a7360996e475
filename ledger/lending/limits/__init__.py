"""Exposure and prudential limits: what is owed by whom to whom, and how much may be."""
