"""What reads attributes in a task, where what its images show is known."""

from __future__ import annotations

from collections.abc import Callable

from fsgan_bench.data.attributes import has_attributes
from fsgan_bench.data.avatars import DOMAINS, SOURCE
from fsgan_bench.data.targets import TargetImages
from fsgan_bench.features.backbone import Backbone
from fsgan_bench.features.lite0 import Lite0
from fsgan_bench.metrics.attribute_heads import attribute_heads
from fsgan_bench.metrics.metric import AttributeReaders


def attribute_readers(
    images: TargetImages, side: int, lpips: Backbone
) -> Callable[[], AttributeReaders] | None:
    """Gives the heads of a target and of the source; they are trained when they are asked for.

    None where the target shows other people than the source, or LPIPS is not on ``lite0``, whose
    features the heads read.
    """
    domain = images.population
    if domain is None or not has_attributes(domain) or not isinstance(lpips, Lite0):
        return None

    def readers() -> AttributeReaders:
        device = str(lpips.device)
        target, source = (
            attribute_heads(each, side, device=device) for each in (domain, DOMAINS[SOURCE])
        )
        return AttributeReaders(target, source)

    return readers
