"""The benchmark: four nodes as processes on this machine, loaded and measured (DESIGN 8)."""
