"""A page of results to scrub through: one HTML file that needs nothing else."""
