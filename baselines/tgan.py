"""TGAN: plain adversarial fine-tuning of the whole pair (Wang et al. 2018)."""

from __future__ import annotations

from fsgan_bench.training.look import SOLID, Look
from fsgan_bench.training.method import Method


class TGAN(Method):
    """All of generator and discriminator train with the shared recipe, and nothing else."""

    name = "tgan"
    title = "TGAN"
    look = Look("#56b4e9", SOLID, "o", place=1)
    version = "2"
    paper = "Wang et al. 2018, Transferring GANs: generating images from limited data"
    accumulates = True
