"""Offline verification: damage of files, and replay of the whole chain from genesis."""
