"""`./scripts/soak`: real nodes under load and faults, and what must be true of them afterwards."""
