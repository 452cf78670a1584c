"""The largest numbers that the command line and suite files take."""

MAX_ITERATIONS = 10_000_000
MAX_SNAPSHOTS = 1000
MAX_SHOTS = 100_000
MAX_IMAGES = 1_000_000
