"""The numbers that the command line, a script and suite files may give."""

MAX_ITERATIONS = 10_000_000
MAX_SNAPSHOTS = 1000
MAX_SHOTS = 100_000
MAX_IMAGES = 1_000_000
MAX_SEED = 999_999_999

BOUNDS = {
    "iterations": (1, MAX_ITERATIONS),
    "snapshots": (2, MAX_SNAPSHOTS),
    "shots": (1, MAX_SHOTS),
    "jobs": (1, 1024),
    "accumulate": (1, 1024),
    "pack": (1, 1000),
    "retries": (0, 100),
}
"""The least and the most of a run's options, by name."""
