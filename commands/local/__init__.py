"""A local network of real processes: its file, its nodes, the command."""
