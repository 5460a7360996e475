"""Tests of consensus: unit tests named after rules, scenarios, and a sample of the simulator."""
