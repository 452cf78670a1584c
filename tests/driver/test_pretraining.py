from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from fsgan_bench.data.avatars import draw
from fsgan_bench.data.images import Images, content_hash, content_hashes, set_hash
from fsgan_bench.data.near import copies, thumbnails
from fsgan_bench.driver.pretraining.adversarial import PretrainConfig, pretrain
from fsgan_bench.driver.pretraining.options import divided
from fsgan_bench.errors import UserError
from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.checkpoint import load_source
from fsgan_bench.stylegan2.reading import read_tensors
from fsgan_bench.system.states import load_state
from fsgan_bench.training.recipe import Recipe

CONFIG = PretrainConfig(
    architecture=Architecture(32, 8, 2, {4: 8, 8: 8, 16: 4, 32: 2}),
    recipe=Recipe(batch=2, r1_every=2, path_length_every=2, ema_half_life=2),
    iterations=5,
    evaluate_every=1,
    save_every=2,
    samples=8,
)


@pytest.fixture(scope="module")
def images() -> Images:
    return draw("faces", 0, 24, 32)


def run(images: Images, out: Path, config: PretrainConfig = CONFIG, **options: Any) -> Path:
    return pretrain(images[:16], images[16:], config, out, **{"say": lambda line: None} | options)


@pytest.fixture(scope="module")
def finished(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out: Path = tmp_path_factory.mktemp("pretrained")
    assert run(images, out) == out / "best.safetensors"
    return out


def stop_at(text: str) -> Callable[[str], None]:
    """Progress lines go here until one starts with ``text``: then the run is interrupted."""

    def say(line: str) -> None:
        if line.startswith(text):
            raise KeyboardInterrupt

    return say


def flat(state: Any) -> list[Any]:
    """Leaves of nested containers, with tensors as lists."""
    if isinstance(state, dict):
        return [leaf for key in state for leaf in (key, *flat(state[key]))]
    if isinstance(state, list | tuple):
        return [leaf for item in state for leaf in flat(item)]
    return [state.tolist() if isinstance(state, torch.Tensor) else state]


def test_what_is_left_behind(finished: Path, images: Images) -> None:
    source = load_source(finished / "best.safetensors")
    assert source.generator.architecture == CONFIG.architecture
    card = json.loads((finished / "best.json").read_text())
    assert {name: card[name] for name in source.card} == source.card
    assert card["config"] == json.loads(json.dumps(asdict(CONFIG)))
    assert card["data"]["training_set"] == set_hash(images[:16])
    assert card["data"]["held_out_set"] == set_hash(images[16:])
    grids = sorted(path.name for path in (finished / "grids").iterdir())
    assert grids == [f"{iteration:06d}.png" for iteration in range(1, 6)]
    with Image.open(finished / "grids" / grids[0]) as grid:
        assert grid.size == (8 * 34 + 2, 34 + 2)


def test_the_best_pair_is_kept(finished: Path) -> None:
    records = load_state(finished / "state.pt")["records"]
    card = json.loads((finished / "best.json").read_text())
    best = min(records, key=lambda record: record["fd_lite0"])
    assert (card["iteration"], card["fd_lite0"]) == (best["iteration"], best["fd_lite0"])
    assert [record["iteration"] for record in records] == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("line", ["iteration 1:", "iteration 3:", "iteration 4/"])
def test_interrupted_and_resumed_is_uninterrupted(
    images: Images, finished: Path, tmp_path: Path, line: str
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(images, tmp_path, say=stop_at(line))
    lines: list[str] = []
    run(images, tmp_path, say=lines.append)
    saved = 0 if line == "iteration 1:" else 2
    assert ("continuing at iteration 2" in lines) == (saved == 2)
    assert flat(load_state(tmp_path / "state.pt")) == flat(load_state(finished / "state.pt"))
    tensors, _ = read_tensors(tmp_path / "best.safetensors")
    expected, _ = read_tensors(finished / "best.safetensors")
    assert flat(tensors) == flat(expected)


def test_a_longer_run_continues_a_finished_one(images: Images, tmp_path: Path) -> None:
    run(images, tmp_path, replace(CONFIG, iterations=2))
    lines: list[str] = []
    run(images, tmp_path, replace(CONFIG, iterations=4), say=lines.append)
    assert lines[0] == "continuing at iteration 2"
    assert load_state(tmp_path / "state.pt")["session"]["iteration"] == 4


def test_another_run_is_not_continued(images: Images, finished: Path) -> None:
    others = [
        replace(CONFIG, seed=1),
        replace(CONFIG, recipe=replace(CONFIG.recipe, learning_rate=0.001)),
        replace(CONFIG, architecture=replace(CONFIG.architecture, style_dim=4)),
    ]
    for other in others:
        with pytest.raises(UserError, match="another config") as caught:
            run(images, finished, other)
        assert str(finished) in str(caught.value)
    with pytest.raises(UserError, match="other images"):
        run(images[1:], finished)


def test_held_out_images_are_drawn_over_all_classes(tmp_path: Path) -> None:
    """Not the first by name; and none of them is trained on, encoded anew or mirrored."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 256, (40, 4, 4, 3), dtype=np.uint8)
    pictures = [Image.fromarray(each).resize((16, 16)) for each in coarse]
    for index, picture in enumerate(pictures):
        folder = tmp_path / ("cat" if index < 20 else "dog")
        folder.mkdir(exist_ok=True)
        picture.save(folder / f"{index:02d}.png")
    for index in range(0, 40, 10):
        mirrored = pictures[index].transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        mirrored.save(tmp_path / f"again{index:02d}.png")
    said: list[str] = []
    training, kept = divided(tmp_path, 16, 20, said.append)
    hashes = [content_hash(np.asarray(picture)) for picture in pictures]
    held = [hashes.index(digest) for digest in content_hashes(kept) if digest in hashes]
    assert len(kept) == 20 and sum(index < 20 for index in held) in range(4, 17)
    assert not copies(thumbnails(training), thumbnails(kept)).any()
    assert any("4 images at the top and 40 in subfolders" in line for line in said)
    with pytest.raises(UserError, match="too few to keep 40 of them out of the training"):
        divided(tmp_path, 16, 40, said.append)
