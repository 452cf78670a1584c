"""``timm:MODEL``: a pretrained timm network, fine-tuned end to end to one logit.

It starts from the head that is best on the pretrained features (linear probing, then fine-tuning:
Kumar et al. 2022). From a random head the same training leaves noise at a score near one half.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from classifiers.base import Classifier, Parameters, Scores
from classifiers.data import TrainingData
from classifiers.logistic import LogisticConfig, fit_head
from classifiers.pretrained import InputFormat, head_input, head_of, pretrained_network
from fsgan_bench.data.images import Images, check_images, to_tensor
from fsgan_bench.features.backbone import weights_digest
from fsgan_bench.training.streams import Streams, stream_seed

_SCORING_BATCH = 64


@dataclass(frozen=True)
class FineTuneConfig:
    """Settings of the fine-tuning.

    Attributes:
        epochs: passes over as many images as there are; they are drawn with replacement, by weight.
        batch: images a step.
        learning_rate: of AdamW at the first step; it falls to zero along half a cosine.
        weight_decay: AdamW's, decoupled.
        flip: probability that an image is mirrored left to right.
        head: settings of the logistic head that training starts from.
    """

    epochs: int = 1
    batch: int = 32
    learning_rate: float = 1e-4
    weight_decay: float = 0.05
    flip: float = 0.5
    head: LogisticConfig = field(default_factory=LogisticConfig)


class FineTunedClassifier(Classifier):
    """A network [N, 3, H, W] -> [N, 1] whose sigmoid is the score."""

    def __init__(self, network: nn.Module, input_format: InputFormat, device: str) -> None:
        self._network = network.to(device).eval().requires_grad_(False)
        self._input_format = input_format
        self._device = device

    def scores(self, images: Images) -> Scores:
        check_images(images)
        if len(images) == 0:
            raise ValueError("there are no images to score")
        logits = _in_batches(self._network, self._input_format, images, self._device)
        return np.asarray(logits.flatten().double().sigmoid().numpy(), dtype=np.float64)


class FineTuneTrainer:
    """Trains a :class:`FineTunedClassifier` from pretrained weights.

    Raises UserError for a model that is unknown or has no linear head, and for weights that are
    not there.
    """

    def __init__(self, model: str, config: FineTuneConfig, device: str) -> None:
        self.model = model
        self.config = config
        self._device = device
        self._network, self._input_format = pretrained_network(model)
        digest = weights_digest(self._network)
        self.backbone_version = f"timm {metadata.version('timm')} {model} weights-{digest}"

    def fit(self, data: TrainingData, seed: int) -> Parameters:
        """Fine-tune; the result depends on ``seed`` and on no global random state.

        Batch normalisation keeps its pretrained statistics: a short training would leave the
        running ones behind. Raises RuntimeError if the loss is no longer finite.
        """
        images, labels, weights = data.training_set()
        config, network = self.config, copy.deepcopy(self._network).to(self._device)
        self._set_head(network, images, labels, weights)
        network.train().requires_grad_(True)
        for module in network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        steps = config.epochs * math.ceil(len(images) / config.batch)
        optimizer = torch.optim.AdamW(
            network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
        )
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
        with self._dropout(seed):
            for batch, wanted in self._batches(images, labels, weights, steps, Streams(seed)):
                logits = network(self._input_format.prepare(batch)).flatten()
                loss = functional.binary_cross_entropy_with_logits(logits, wanted)
                if not bool(loss.isfinite()):
                    raise RuntimeError(
                        f"fine-tuning '{self.model}' diverged: the loss is {float(loss)}"
                    )
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
        return {
            name: values.detach().cpu().contiguous().numpy()
            for name, values in network.state_dict().items()
        }

    def build(self, parameters: Parameters) -> FineTunedClassifier:
        state = {name: torch.from_numpy(values) for name, values in parameters.items()}
        network = copy.deepcopy(self._network)
        network.load_state_dict(state)
        return FineTunedClassifier(network, self._input_format, self._device)

    def _set_head(
        self,
        network: nn.Module,
        images: Images,
        labels: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> None:
        """Give the network the logistic head that is best on its features."""
        network.eval()
        features = _in_batches(head_input(network), self._input_format, images, self._device)
        best = fit_head(features, labels, weights, self.config.head)
        slope = best["weight"] / best["scale"]
        head = head_of(network)
        with torch.no_grad():
            head.weight.copy_(torch.from_numpy(slope)[None])
            head.bias.fill_(float(best["bias"] - best["mean"] @ slope))

    def _batches(
        self,
        images: Images,
        labels: NDArray[np.float64],
        weights: NDArray[np.float64],
        steps: int,
        streams: Streams,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Images [B, 3, H, W] in [-1, 1] and labels [B], drawn by weight and mirrored at random."""
        chances = torch.from_numpy(weights)
        for _ in range(steps):
            chosen = torch.multinomial(
                chances,
                self.config.batch,
                replacement=True,
                generator=streams["classifier/batches"],
            ).numpy()
            batch = to_tensor(images[chosen])
            draws = torch.rand(len(batch), generator=streams["classifier/flips"])
            mirrored = draws < self.config.flip
            batch[mirrored] = batch[mirrored].flip(-1)
            wanted = torch.from_numpy(labels[chosen]).float()
            yield batch.to(self._device), wanted.to(self._device)

    @contextmanager
    def _dropout(self, seed: int) -> Iterator[None]:
        """Seed the global generators, which dropout draws from, and restore them afterwards."""
        devices = [self._device] if self._device.startswith("cuda") else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(stream_seed(seed, "classifier/dropout"))
            yield


def _in_batches(
    network: Callable[[Tensor], Tensor], input_format: InputFormat, images: Images, device: str
) -> Tensor:
    """What ``network`` makes of images [N, H, W, 3], on the CPU; memory is bounded by a batch."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(images), _SCORING_BATCH):
            batch = to_tensor(images[start : start + _SCORING_BATCH]).to(device)
            parts.append(network(input_format.prepare(batch)).cpu())
    return torch.cat(parts)
