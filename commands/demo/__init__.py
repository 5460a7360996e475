"""The demonstration: the main job end to end, with real processes (`scripts/demo`)."""
