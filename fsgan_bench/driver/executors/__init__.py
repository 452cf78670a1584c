"""The engines that carry out cells."""
