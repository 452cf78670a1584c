"""Six methods for fsgan-bench that live outside of it: one file each, by the public door."""
