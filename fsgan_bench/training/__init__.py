"""Training of a pair: methods, the session that they work on, recipe, random streams."""
