"""Snapshots for analysis: the facts of every company of a node's home, as one Parquet file."""
