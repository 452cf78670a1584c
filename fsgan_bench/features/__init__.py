"""Feature networks and where their weights are."""
