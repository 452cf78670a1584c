"""What a method must keep to, and the checks that `fsgan-bench check` runs."""
