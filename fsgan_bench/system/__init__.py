"""The machine below: files written whole or not at all, states, locks, hardware."""
