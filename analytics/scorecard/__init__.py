"""Scorecards fitted offline: what is shipped to the ledger are integers (docs/SCORECARDS.md)."""
