"""Carries out a plan: cells, their workers, and what they will cost."""
