"""RSSA: spatial structure corresponds across source and target (Xiao et al. 2022).

From "Few shot generative model adaption via relaxed spatial structural alignment". Marks: [code]
what the authors published, for faces unless it says otherwise, [ours] a choice that we had to make.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from baselines.relaxed_realism import RelaxedRealism, RelaxedRealismConfig
from fsgan_bench import Architecture, Generator, Latents, Losses, Session, Synthesis, UserError

Layers = list[Tensor]
Distance = Callable[[Tensor, Tensor], Tensor]
DISTANCES: dict[str, Distance] = {"l1": F.l1_loss, "smooth_l1": F.smooth_l1_loss}

# Larger feature maps are compared within windows [code].
WHOLE = 32


OF_PRESET: Any = None
"""Default of what a preset decides: its value stands in the config that comes out."""

PRESETS: dict[str, dict[str, Any]] = {
    "last": {
        "self_correlation_distance": "smooth_l1",
        "coarsest_self_correlation": 4,
        "disturbance": 1.0,
        "disturbance_every": 6,
        "compresses_disturbed": False,
    },
    "first": {
        "self_correlation_distance": "l1",
        "coarsest_self_correlation": 1 << 16,
        "disturbance": 0.15,
        "disturbance_every": 1,
        "compresses_disturbed": True,
    },
}


@dataclass(frozen=True)
class RSSAConfig(RelaxedRealismConfig):
    """The adversarial part is CDC's [code]; then come the two consistencies and the compression.

    Attributes:
        preset: which of two published states decides what is said to be of the preset below.
            ``last`` is the last commit of github.com/StevenShaw1999/RSSA that changed the training,
            b4e460c (2022-03-07; the repository ends at 47f5701), ``first`` the one that it
            replaced, 9aef3b1 (2022-03-01).
        self_correlation_weight: weight of self-correlation consistency: 0.8 [code]; 0 ablates it.
        disturbance_weight: weight of disturbance-correlation consistency: 0.4 [code]; 0 ablates it.
        self_correlation_distance: between correlations of an image, ``l1`` or ``smooth_l1``, which
            squares small differences; of the preset: smooth L1 last, L1 at first [code].
        disturbance_distance: between correlations of two images: ``l1`` [code].
        coarsest_self_correlation: maps whose side is the image's divided by more than this are
            left out of the first loss; of the preset: 4 last, as 64 is the smallest side at
            256x256, and none at first [code]. That it follows the image to other sizes is ours
            [ours].
        consistency_batch: images that either loss takes: 4 [code].
        disturbance: share of a latent of its own in a disturbed one; the rest is common to the
            batch; of the preset. The paper's is 0.15; the code computes these latents, and passes
            those that have nothing in common, which is 1, for faces in both states and last for
            churches too [code].
        disturbance_every: iterations between two uses of the second loss; of the preset: 6 last, 1
            at first [code].
        compresses_disturbed: whether the second loss's images come through the compression; of the
            preset: not last [code]. At first those for churches did and those for faces did not
            [code].
        self_correlation_up_to: largest side of feature maps in the first loss: 256 [code].
        disturbance_up_to: largest side in the second: 128; of the two maps that have it the first
            alone [code]. Memory grows with the fourth power of a window's side.
        compression: how far the ``w`` of a layer moves into the subspace: layers at the image's
            resolution, at half of it, and so on; coarser ones stay. The values are those for faces
            at 256x256, for churches the first three are 0.75, 0.55 and 0.35 [code]; that they
            follow the image to other sizes is ours [ours]. Empty for none.
        inversion_steps: steps that find latents of the few-shot images. The code's 4,002 are twice
            its training; 200 take as long as 150 iterations of plain fine-tuning [ours].
    """

    preset: Literal["last", "first"] = "last"
    self_correlation_weight: float = 0.8
    disturbance_weight: float = 0.4
    self_correlation_distance: Literal["l1", "smooth_l1"] = OF_PRESET
    disturbance_distance: Literal["l1", "smooth_l1"] = "l1"
    coarsest_self_correlation: int = OF_PRESET
    consistency_batch: int = 4
    disturbance: float = OF_PRESET
    disturbance_every: int = OF_PRESET
    compresses_disturbed: bool = OF_PRESET
    self_correlation_up_to: int = 256
    disturbance_up_to: int = 128
    compression: tuple[float, ...] = (0.85, 0.65, 0.45, 0.05, 0.05)
    inversion_steps: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, value in PRESETS[self.preset].items():
            if getattr(self, name) is OF_PRESET:
                object.__setattr__(self, name, value)
        if self.consistency_batch < 2 or self.inversion_steps < 1:
            raise ValueError("consistency_batch must be at least 2 and inversion_steps at least 1")
        if min(self.coarsest_self_correlation, self.disturbance_every) < 1:
            raise ValueError(
                "coarsest_self_correlation and disturbance_every must be at least 1; a weight of 0 "
                "leaves a loss out"
            )
        if min(self.self_correlation_up_to, self.disturbance_up_to) < 4:
            raise ValueError("feature maps begin at 4x4; a weight of 0 leaves a loss out")
        if not all(0 <= share <= 1 for share in (self.disturbance, *self.compression)):
            raise ValueError("disturbance and the values of compression lie in [0, 1]")


def windows(features: Tensor, across: int) -> Tensor:
    """Cut [N, C, S, S] into ``across`` x ``across`` windows of P positions: [N, windows, P, C]."""
    side = features.shape[-1] // across
    cut: Tensor = features.unflatten(3, (across, side)).unflatten(2, (across, side))
    return cut.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)


def self_correlations(features: Tensor, whole: int) -> list[Tensor]:
    """Cosine similarities of the positions in each image of [N, C, S, S]: [N, windows, P, P].

    Maps larger than ``whole`` are averaged to half their side, and positions compared within the
    quadrants and within a window of the same size at the centre [code].
    """
    unit = F.normalize(features, dim=1)
    if unit.shape[-1] <= whole:
        regions = [windows(unit, 1)]
    else:
        half = F.avg_pool2d(unit, 2)
        margin = half.shape[-1] // 4
        regions = [windows(half, 2), windows(half[..., margin:-margin, margin:-margin], 1)]
    return [region @ region.mT for region in regions]


def self_correlation_consistency(
    source: Layers, target: Layers, distance: Distance, whole: int = WHOLE
) -> Tensor:
    """Each image keeps how its positions correlate: mean ``distance``, summed over layers.

    ``source`` and ``target`` are features of the same latents, [N, C_l, S_l, S_l] for each layer.
    """
    terms = [
        distance(theirs, ours)
        for layers in zip(source, target, strict=True)
        for theirs, ours in zip(*(self_correlations(f, whole) for f in layers), strict=True)
    ]
    return torch.stack(terms).sum()


def disturbance_correlations(features: Tensor, whole: int) -> Tensor:
    """Where each position is in every later image of [N, C, S, S]: [pairs, windows, P, P].

    A softmax over the other image's P positions of their cosine similarities to this one. Maps
    larger than ``whole`` are cut into 4 x 4 windows [code].
    """
    unit = F.normalize(features, dim=1)
    regions = windows(unit, 1 if unit.shape[-1] <= whole else 4)
    first, second = torch.combinations(torch.arange(len(unit), device=unit.device)).unbind(1)
    return (regions[first] @ regions[second].mT).softmax(dim=-1)


def disturbance_consistency(
    source: Layers, target: Layers, distance: Distance, whole: int = WHOLE
) -> Tensor:
    """Images of disturbed latents keep how their positions correlate, a sum over layers.

    Arguments as for :func:`self_correlation_consistency`. ``distance`` is summed over the positions
    of a distribution and averaged over distributions [code].
    """
    terms = []
    for layers in zip(source, target, strict=True):
        theirs, ours = (disturbance_correlations(features, whole) for features in layers)
        terms.append(ours.shape[-1] * distance(theirs, ours))
    return torch.stack(terms).sum()


class Compression(nn.Module):
    """Draws the ``w`` of every layer towards the span of some codes, keeping its norm [code].

    Buffers: ``basis`` [n_latent, K, style_dim], orthonormal rows or zero ones; ``strength``
    [n_latent, 1], 0 to leave a layer alone and 1 to project it.
    """

    basis: Tensor
    strength: Tensor

    def __init__(self, architecture: Architecture, shares: Sequence[float], shots: int) -> None:
        super().__init__()
        n_latent, dim = architecture.n_latent, architecture.style_dim
        finest = len(architecture.resolutions) - 1
        steps = [finest - min((layer + 1) // 2, finest) for layer in range(n_latent)]
        strength = [shares[step] if step < len(shares) else 0.0 for step in steps]
        self.register_buffer("basis", torch.zeros(n_latent, min(shots, dim), dim))
        self.register_buffer("strength", torch.tensor(strength)[:, None])

    def span(self, codes: Tensor) -> None:
        """Take the subspaces that ``codes`` [M, n_latent, style_dim] span, one a layer."""
        _, values, rows = torch.linalg.svd(codes.transpose(0, 1), full_matrices=False)
        smallest = values[:, :1] * max(codes.shape) * torch.finfo(codes.dtype).eps
        self.basis.copy_(rows * (values > smallest)[..., None])

    def forward(self, w: Tensor) -> Tensor:
        coordinates = torch.einsum("nld,lkd->nlk", w, self.basis)
        projected = torch.einsum("nlk,lkd->nld", coordinates, self.basis)
        inside = F.normalize(projected, dim=2) * w.norm(dim=2, keepdim=True)
        return torch.lerp(w, inside, self.strength)


def invert(session: Session, steps: int) -> Tensor:
    """The ``w`` [M, n_latent, style_dim] from which the source draws the few-shot images best.

    Adam starts at the mean ``w`` with a rate of 0.1, halved after every quarter, and minimises a
    perceptual distance plus the mean squared difference [code]. LPIPS would need a network from
    elsewhere; its form is applied to the features of the source's discriminator [ours].
    """
    generator, discriminator = session.source_generator, session.source_discriminator
    images, layers = session.few_shot, range(discriminator.n_features)

    def features(images: Tensor) -> Layers:
        found = discriminator(images, layers, logits=False).features
        return [F.normalize(found[layer], dim=1) for layer in layers]

    with torch.no_grad():
        wanted = features(images)
        mean = generator.mean_w(session.normal("inversion", 5120, session.architecture.style_dim))
    w = mean.repeat(len(images), session.architecture.n_latent, 1).requires_grad_(True)
    optimizer = torch.optim.Adam([w], 0.1)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, max(1, steps // 4), gamma=0.5)
    for _ in range(steps):
        drawn = generator.synthesise(w).image
        loss = F.mse_loss(drawn, images)
        for ours, theirs in zip(features(drawn), wanted, strict=True):
            loss = loss + (ours - theirs).square().sum(dim=1).mean()
        optimizer.zero_grad()
        (len(images) * loss).backward()
        optimizer.step()
        schedule.step()
    return w.detach()


class RSSA(RelaxedRealism):
    """Relaxed realism in a compressed latent space, plus the two consistencies of structure.

    All images come through the compression, those that are scored too, but for those of the
    disturbance term where the preset says so; the consistencies take the fixed layer noise [code].
    Styles are mixed [ours]; the code's compression drops the second one.
    """

    name = "rssa"
    title = "RSSA"
    version = "3"
    paper = (
        "Xiao et al. 2022, Few shot generative model adaption via relaxed spatial structural "
        "alignment"
    )
    Config = RSSAConfig
    tiny = {**RelaxedRealism.tiny, "inversion_steps": 3}
    shortened = {"inversion_steps": 1}

    def generator_modules(self, session: Session) -> dict[str, nn.Module]:
        config, smallest = self.config, self.smallest_map(session)
        if config.self_correlation_weight and config.self_correlation_up_to < smallest:
            raise UserError(
                f"rssa.self_correlation_up_to={config.self_correlation_up_to} leaves no feature "
                f"map: coarsest_self_correlation={config.coarsest_self_correlation} passes over "
                f"those below {smallest:g} pixels."
            )
        shares, shots = config.compression, len(session.images)
        return {"compression": Compression(session.architecture, shares, shots)}

    def smallest_map(self, session: Session) -> float:
        """Side of the smallest maps that the self-correlation looks at."""
        coarsest: int = self.config.coarsest_self_correlation
        return session.architecture.resolution / coarsest

    def setup(self, session: Session) -> None:
        super().setup(session)
        if any(self.config.compression):
            codes = invert(session, self.config.inversion_steps)
            cast(Compression, session.generator_side["compression"]).span(codes)

    def render(self, session: Session, latents: Latents) -> Synthesis:
        w = session.generator.styles(latents.z, latents.mix, latents.crossover)
        w = session.generator_side["compression"](w)
        return session.generator.synthesise(w, noise=session.noise(len(latents.z)))

    def sample(self, modules: Mapping[str, nn.Module], z: Tensor) -> Tensor:
        generator = cast(Generator, modules["generator"])
        return generator.synthesise(modules["compression"](generator.styles(z))).image

    def generator_loss(self, session: Session) -> Losses:
        config, terms = self.config, super().generator_loss(session)
        shape = (config.consistency_batch, session.architecture.style_dim)
        if config.self_correlation_weight:
            z = session.normal("self_correlation", *shape)
            smallest = self.smallest_map(session)
            source, target = (
                [layer for layer in layers if layer.shape[-1] >= smallest]
                for layers in self.features(session, z, config.self_correlation_up_to)
            )
            distance = DISTANCES[config.self_correlation_distance]
            loss = self_correlation_consistency(source, target, distance)
            terms["self_correlation"] = config.self_correlation_weight * loss
        if config.disturbance_weight and session.iteration % config.disturbance_every == 0:
            common = session.normal("disturbance", 1, shape[1])
            z = torch.lerp(common, session.normal("disturbance", *shape), config.disturbance)
            source, target = self.features(
                session,
                z,
                config.disturbance_up_to,
                both=False,
                compresses=config.compresses_disturbed,
            )
            distance = DISTANCES[config.disturbance_distance]
            loss = disturbance_consistency(source, target, distance)
            terms["disturbance"] = config.disturbance_weight * loss
        return terms

    def features(
        self,
        session: Session,
        z: Tensor,
        up_to: int,
        *,
        both: bool = True,
        compresses: bool = True,
    ) -> tuple[Layers, Layers]:
        """Source and target features of ``z`` [N, style_dim], of sides up to ``up_to``.

        Without ``both``, the second map of the side ``up_to`` is left out; without ``compresses``,
        the latents do not come through the compression.
        """

        def synthesise(generator: Generator) -> Layers:
            w = generator.styles(z)
            if compresses:
                w = session.generator_side["compression"](w)
            features = generator.synthesise(w, features=True).features
            kept = [layer for layer in features if layer.shape[-1] <= up_to]
            twice = len(kept) > 1 and kept[-1].shape[-1] == up_to
            return kept[:-1] if twice and not both else kept

        with torch.no_grad():
            source = synthesise(session.source_generator)
        return source, synthesise(session.generator)
