"""fsgan-bench: a benchmark harness for few-shot GAN adaptation."""

__version__ = "0.1.0"
