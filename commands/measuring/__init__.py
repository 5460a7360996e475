"""Programs that measure: speed, faults, races, the real invoices."""
