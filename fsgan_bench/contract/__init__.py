"""What a method must keep to, and the checks that `fsgan-bench check` runs.

A method's own tests use the names below: the checks, and the method on tiny networks.
"""

from __future__ import annotations

from fsgan_bench.contract.run import CHECKS, check_method
from fsgan_bench.contract.trial import ARCHITECTURE, RECIPE, Bench, state_of, train

__all__ = ["ARCHITECTURE", "CHECKS", "RECIPE", "Bench", "check_method", "state_of", "train"]
