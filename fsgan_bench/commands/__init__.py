"""Commands of the command line, one a module; ``cli`` puts them together."""
