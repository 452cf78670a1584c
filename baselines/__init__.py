"""The seven published methods, one a file, registered by entry points like anybody's."""
