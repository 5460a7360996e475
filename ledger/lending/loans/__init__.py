"""Loans: their arithmetic, their states, and what is booked on the chain."""
