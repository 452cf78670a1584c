"""What adapted generators are compared with."""

from __future__ import annotations

REFERENCE_TITLES = {
    "source": "source generator",
    "real": "real target images (held out)",
    "ideal": "ideal adaptation",
}
"""In their order in legends and tables."""
