"""Stored snapshots, brought back to be scored or verified without training."""
