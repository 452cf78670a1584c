"""Replays the corpus, every valid seed, and a few thousand seeded mutations of each."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import readers

from fsgan_bench.data.containers import open_entries
from fsgan_bench.stylegan2.checkpoint import load_networks
from fsgan_bench.suites.file import parse_suite

CORPUS = Path(__file__).parent / "corpus"
MUTATIONS = 150


@pytest.fixture(scope="module")
def seeds() -> dict[str, list[bytes]]:
    return readers.seeds()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", readers.READERS)
def test_damaged_bytes_are_refused_in_words(name: str, seeds: dict[str, list[bytes]]) -> None:
    """Each reader raises nothing but a UserError, or Unusable for one image of a set."""
    kept = [file.read_bytes() for file in sorted((CORPUS / name).glob("*"))]
    draw = random.Random(name)
    for content in [*seeds[name], *kept]:
        readers.READERS[name](content)
        for _ in range(MUTATIONS // len(seeds[name])):
            readers.READERS[name](mutated(content, draw))


def mutated(content: bytes, draw: random.Random) -> bytes:
    """Some bytes changed, cut out, doubled or cut off; most often early, where headers are."""
    data = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        place = int(len(data) * draw.random() ** 3)
        length = draw.randint(1, 8)
        kind = draw.randrange(5)
        if kind == 0:
            data[place : place + length] = draw.randbytes(length)
        elif kind == 1:
            del data[place : place + length]
        elif kind == 2:
            data[place:place] = data[place : place + length]
        elif kind == 3 and place < len(data):
            data[place] ^= 1 << draw.randrange(8)
        else:
            del data[len(data) - length :]
    return bytes(data)


def test_seeds_are_valid(seeds: dict[str, list[bytes]], tmp_path: Path) -> None:
    """What mutations start from is what the readers accept, so that they get far."""
    suffixes = {"torch_file": ".pt", "nvidia_pickle": ".pkl", "safetensors": ".safetensors"}
    for name, suffix in suffixes.items():
        file = tmp_path / f"model{suffix}"
        file.write_bytes(seeds[name][0])
        assert load_networks(file)[0].architecture.resolution == 8
    file = tmp_path / "images.zip"
    file.write_bytes(seeds["image_zip"][0])
    with open_entries(file, 8) as entries:
        assert [entry.read() for entry in entries.entries] == seeds["image"][:1]
    assert parse_suite(seeds["suite"][0].decode(), Path("suite.toml")).recipe.batch == 2
    assert len(seeds["image"]) == 6


def test_the_corpus_is_small() -> None:
    files = [file for file in CORPUS.rglob("*") if file.is_file()]
    assert {file.parent.name for file in files} <= set(readers.READERS)
    assert sum(file.stat().st_size for file in files) < 16 * 1024
