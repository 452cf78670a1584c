"""Suites: a source, its targets, budgets and protocol; built in or a TOML file."""
