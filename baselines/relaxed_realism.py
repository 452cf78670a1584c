"""CDC's relaxed realism: an image-level and a patch-level judge (Ojha et al. 2021, sec. 3.2).

Near a few anchor latents whole images have to look real; elsewhere only their patches have to. CDC
and DCL share it and add what preserves diversity. "Published" is CDC's code,
github.com/utkarshojha/few-shot-gan-adaptation at commit 5617920.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from fsgan_bench.errors import UserError
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.layers import ConvLayer
from fsgan_bench.stylegan2.networks import Discriminator, Layer
from fsgan_bench.training.latents import Latents
from fsgan_bench.training.method import Method
from fsgan_bench.training.session import Session


@dataclass(frozen=True)
class RelaxedRealismConfig:
    """How anchors and patches take turns.

    Attributes:
        anchor_every: period in iterations of the anchor regions, judged as whole images; patches
            are judged in all others. 4 is the published code's.
        anchor_noise: standard deviation of the noise around an anchor latent, 0.1 in the published
            code.
        patch_downscales: where the patch heads look: the feature map whose side is the image's
            divided by this. Published code uses 32x32 at 256x256 alone. Several heads take turns at
            random.
        patch_features: what of the block that ends at this map they see: ``published``, its second
            convolution before the skip is added, or the ``block``'s output.
        patch_head: whether their logits end in a biased leaky ReLU of slope 0.2 times sqrt 2
            (``published``), which flattens negative logits, or are ``linear`` in the features.
    """

    anchor_every: int = 4
    anchor_noise: float = 0.1
    patch_downscales: tuple[int, ...] = (8,)
    patch_features: Literal["published", "block"] = "published"
    patch_head: Literal["published", "linear"] = "published"

    def __post_init__(self) -> None:
        if self.anchor_every < 1:
            raise ValueError("anchor_every must be at least 1")


class PatchHeads(nn.ModuleDict):
    """One 3x3 convolution a block: features [N, C, h, w] -> logit map [N, 1, h, w].

    Its activation is that of :class:`RelaxedRealismConfig`'s published ``patch_head``.
    """

    def __init__(
        self, architecture: Architecture, blocks: Iterable[int], *, activate: bool
    ) -> None:
        widths, resolution = architecture.channels, architecture.resolution
        super().__init__(
            {
                str(block): ConvLayer(widths[resolution >> block], 1, 3, activate=activate)
                for block in blocks
            }
        )


class RelaxedRealism(Method):
    """The shared adversarial part; not a method on its own."""

    Config = RelaxedRealismConfig
    tiny = {"patch_downscales": (2,)}

    def discriminator_modules(self, session: Session) -> dict[str, nn.Module]:
        architecture = session.architecture
        heads = PatchHeads(
            architecture,
            self.patch_blocks(architecture),
            activate=self.config.patch_head == "published",
        )
        return {"patch_heads": heads}

    def patch_blocks(self, architecture: Architecture) -> list[int]:
        """The residual blocks, from 1, that end at the maps of ``patch_downscales``.

        Raises:
            UserError: there is no such map, or none is named.
        """
        possible = [2**block for block in range(1, len(architecture.resolutions))]
        blocks = []
        for downscale in self.config.patch_downscales:
            if downscale not in possible:
                raise UserError(
                    f"{self.name}.patch_downscales: at {architecture.resolution}x"
                    f"{architecture.resolution} the discriminator has no feature map for "
                    f"{downscale}; possible are {', '.join(map(str, possible))}."
                )
            blocks.append(possible.index(downscale) + 1)
        if not blocks:
            raise UserError(f"{self.name}.patch_downscales must name at least one feature map.")
        return blocks

    def setup(self, session: Session) -> None:
        dim = session.architecture.style_dim
        self._anchors = session.normal("anchors", len(session.images), dim)

    def judges_images(self, session: Session) -> bool:
        """Whether this iteration is one of the anchors', judged as whole images."""
        return bool(session.iteration % self.config.anchor_every == 0)

    def latents(self, session: Session, batch: int) -> Latents:
        if not self.judges_images(session):
            return super().latents(session, batch)
        chosen = torch.randint(
            len(self._anchors), (batch,), generator=session.streams["anchor_choice"]
        )
        offset = session.normal("anchor_noise", batch, session.architecture.style_dim)
        anchors = self._anchors[chosen.to(session.device)]
        return Latents(anchors + self.config.anchor_noise * offset)

    def path_length_latents(self, session: Session, batch: int) -> Latents:
        """Free latents in every iteration, as in the published code."""
        return super().latents(session, batch)

    def judge(self, session: Session, images: Tensor) -> Tensor:
        return self.judge_with_features(session, images, ())[0]

    def judge_with_features(
        self, session: Session, images: Tensor, layers: Iterable[Layer]
    ) -> tuple[Tensor, dict[Layer, Tensor]]:
        """Logits of the judge whose turn it is, and discriminator features from the same pass.

        Patches ask nothing of the discriminator's deeper layers, so that they are not computed.
        """
        discriminator: Discriminator = session.discriminator
        if self.judges_images(session):
            judgement = discriminator(images, layers)
            return cast(Tensor, judgement.logits), judgement.features
        heads = cast(PatchHeads, session.discriminator_side["patch_heads"])
        names = list(heads)
        turn = session.streams.integer("patch_head", 0, len(names)) if len(names) > 1 else 0
        block = int(names[turn])
        seen: Layer = block if self.config.patch_features == "block" else (block, "conv2")
        judgement = discriminator(images, {seen, *layers}, logits=False)
        return cast(Tensor, heads[names[turn]](judgement.features[seen])), judgement.features

    def state_dict(self) -> dict[str, Any]:
        return {"anchors": self._anchors}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._anchors = state["anchors"]
