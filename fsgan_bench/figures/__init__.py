"""Figures: one palette, trajectories, grids and ablations, drawn from run folders alone."""
