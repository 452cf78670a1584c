"""Losses of StyleGAN2's training (Karras et al. 2020): non-saturating logistic, R1, path length."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def generator_adversarial(fake_logits: Tensor) -> Tensor:
    """Non-saturating logistic loss of the generator, a scalar; logits of any shape."""
    return F.softplus(-fake_logits).mean()


def discriminator_adversarial(real_logits: Tensor, fake_logits: Tensor) -> Tensor:
    """Logistic loss of the discriminator, a scalar; logits of any shape."""
    return F.softplus(-real_logits).mean() + F.softplus(fake_logits).mean()


def r1_penalty(real_logits: Tensor, real: Tensor) -> Tensor:
    """Mean squared norm of the gradient of the logits at real images (Mescheder et al. 2018).

    Args:
        real_logits: [N, ...]; a logit map counts with its mean over positions.
        real: [N, 3, H, W], the images that the logits were computed from, requiring grad.
    """
    per_image = real_logits.flatten(1).mean(dim=1)
    (gradient,) = torch.autograd.grad(per_image.sum(), real, create_graph=True)
    return gradient.square().sum(dim=(1, 2, 3)).mean()


def path_lengths(image: Tensor, w: Tensor, image_noise: Tensor) -> Tensor:
    """Length of the Jacobian-noise product per image (Karras et al. 2020, sec. 3.2), [N].

    Args:
        image: [N, 3, H, W], a differentiable function of ``w``.
        w: [N, n_latent, style_dim].
        image_noise: N(0, I) of the shape of ``image``; divided here by the image side.
    """
    height, width = image.shape[2:]
    projected = (image * image_noise).sum() / (height * width) ** 0.5
    (gradient,) = torch.autograd.grad(projected, w, create_graph=True)
    return gradient.square().sum(dim=2).mean(dim=1).sqrt()
