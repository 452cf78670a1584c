"""What other packages and files bring: methods, metrics and classifiers by name."""
