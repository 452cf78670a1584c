"""The files that bad invocations name: one good model and image set, and all that is wrong."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lmdb
import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

from fsgan_bench.stylegan2.architecture import Architecture
from fsgan_bench.stylegan2.checkpoint import save_source
from fsgan_bench.stylegan2.networks import Discriminator, Generator
from fsgan_bench.training.streams import Streams

SIDE = 32
SHAPE = Architecture(SIDE, style_dim=8, mapping_layers=2, channels={4: 8, 8: 8, 16: 4, 32: 4})


class Bomb:
    """Unpickling it makes a folder: whoever runs code from a file leaves this behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (str(self.path),)


def build(world: Path) -> None:
    """Write everything below ``world``; code in a file would make ``world``/``exploded``."""
    pair = networks()
    save_source(world / "good.safetensors", *pair, {"title": "random weights"})
    _checkpoints(world, pair)
    _images(world / "images")
    _suites(world)
    _plugins(world / "plugins")
    _results(world)
    (world / "a-file").write_text("a file\n")
    (world / "a-folder").mkdir()
    (world / "loop").symlink_to(world / "loop")


def networks() -> tuple[Generator, Discriminator]:
    with Streams(1).initialising("networks"):
        return Generator(SHAPE), Discriminator(SHAPE)


def _checkpoints(world: Path, pair: tuple[Generator, Discriminator]) -> None:
    folder = world / "models"
    folder.mkdir()
    good = (world / "good.safetensors").read_bytes()
    bomb = Bomb(world / "exploded")
    g, d = (network.state_dict() for network in pair)

    def pt(name: str, value: Any) -> None:
        torch.save(value, folder / f"{name}.pt")

    def changed(name: str, key: str, tensor: torch.Tensor | None) -> None:
        parts = {"g_ema": dict(g), "d": dict(d)}
        part, _, inner = key.partition("/")
        parts[part].pop(inner, None)
        if tensor is not None:
            parts[part][inner] = tensor
        pt(name, parts)

    nan = g["conv1.conv.weight"].clone()
    nan[0, 0, 0, 0, 0] = float("nan")
    changed("nan", "g_ema/conv1.conv.weight", nan)
    changed("infinite", "d/final_linear.1.bias", torch.tensor([float("inf")]))
    changed("wrong-shape", "g_ema/conv1.conv.weight", torch.zeros(1, 8, 7, 3, 3))
    changed("flat", "g_ema/conv1.conv.weight", torch.zeros(8))
    changed("scalar", "g_ema/conv1.conv.weight", torch.tensor(1.0))
    changed("no-channels", "g_ema/conv1.conv.weight", torch.zeros(1, 0, 8, 3, 3))
    changed("whole-numbers", "g_ema/conv1.conv.weight", torch.zeros(1, 8, 8, 3, 3).long())
    changed("complex", "g_ema/conv1.conv.weight", torch.zeros(1, 8, 8, 3, 3) * 1j)
    changed("lacks-tensor", "d/final_linear.1.bias", None)
    changed("extra-tensor", "g_ema/extra", torch.zeros(1))
    changed("no-tensor", "g_ema/conv1.conv.weight", "text")  # type: ignore[arg-type]
    huge = torch.zeros(1).expand(1, 2**40, 8, 3, 3)
    changed("huge", "g_ema/conv1.conv.weight", huge)
    pt("generator-alone", {"g_ema": g})
    pt("empty-dict", {})
    pt("a-list", [1, 2])
    pt("numbers", {"g_ema": 3, "d": 4})
    pt("bomb", {"g_ema": bomb, "d": d})
    with (folder / "legacy-bomb.pt").open("wb") as file:
        pickle.dump(bomb, file)
    with (folder / "bomb.pkl").open("wb") as file:
        pickle.dump({"G_ema": bomb}, file)
    with (folder / "no-networks.pkl").open("wb") as file:
        pickle.dump({"G_ema": {}, "D": {}}, file)
    contents = {
        "empty.safetensors": b"",
        "empty.pt": b"",
        "empty.pkl": b"",
        "text.pt": b"not a checkpoint\n",
        "cut.safetensors": good[:-100],
        "cut.pt": (folder / "generator-alone.pt").read_bytes()[:-100],
        "long-header.safetensors": struct.pack("<Q", 2**60) + b"{}",
        "no-header.safetensors": struct.pack("<Q", 4) + b"text",
        "deep.pkl": b"]" * 100_000 + b"a" * 99_999 + b".",
        "memory.pkl": b"Nr" + struct.pack("<I", 2**31) + b".",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / "folder.pt").mkdir()
    _more_checkpoints(folder, g, d, bomb)
    tensors = {"generator.a": torch.zeros(1)}
    cards = {"card-text": "not JSON", "card-list": "[1]", "card-deep": "[" * 10**5}
    for name, card in cards.items():
        save_file(tensors, folder / f"{name}.safetensors", {"card": card})


def _more_checkpoints(
    folder: Path, g: Mapping[str, torch.Tensor], d: Mapping[str, torch.Tensor], bomb: Bomb
) -> None:
    """What people take for a checkpoint, or name like one."""
    torch.save({"g_ema": g, "d": d, "args": bomb}, folder / "refused.pt")
    tensorflow = b"\x80\x03cdnnlib.tflib.network\nNetwork\nq\x01)\x81q\x02}q\x03b."
    page, pointer = b"<!DOCTYPE html><html></html>", b"version https://git-lfs.github.com/spec/v1\n"
    whole = (folder / "generator-alone.pt").read_bytes()
    for name, content in {
        "tensorflow.pkl": tensorflow,
        "tensorflow.pt": tensorflow,
        "page.pt": page,
        "lfs.pkl": pointer,
        "cut.pkl": tensorflow[:20],
        "bomb.pt.gz": gzip.compress((folder / "bomb.pt").read_bytes()),
        "cut.pt.gz": gzip.compress(whole)[:-2000],
    }.items():
        (folder / name).write_bytes(content)
    with zipfile.ZipFile(folder / "zip.pt", "w") as archive:
        archive.writestr("0.png", b"no checkpoint")
    for name, channels in (("grey", 1), ("rgba", 4)):
        shape = g["to_rgb1.conv.weight"].shape
        other = torch.zeros(shape[0], channels, *shape[2:])
        torch.save({"g_ema": {**g, "to_rgb1.conv.weight": other}, "d": d}, folder / f"{name}.pt")
    _conditional(folder / "conditional.pkl")


def _conditional(path: Path) -> None:
    """A class-conditional network of NVIDIA's, as its pickle begins."""
    state = {"c_dim": 10, "_parameters": {}, "_buffers": {}, "_modules": {}}
    body = pickle.dumps({"state": state}, protocol=2)[2:-1]
    call = b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n"
    path.write_bytes(b"\x80\x02}X\x05\x00\x00\x00G_ema" + call + body + b"\x85Rs.")


def png(width: int, height: int, seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _images(images: Path) -> None:
    images.mkdir()

    def folder(name: str, files: Mapping[str, bytes]) -> None:
        (images / name).mkdir()
        for file, content in files.items():
            (images / name / file).write_bytes(content)

    good = {f"{i}.png": png(SIDE, SIDE, i) for i in range(4)}
    folder("good", good)
    folder("empty", {})
    folder("texts", {"notes.txt": b"no image"})
    folder("one-pixel", {"0.png": png(1, 1, 0)})
    folder("text-as-png", {"0.png": b"not an image"})
    folder("no-bytes", {"0.png": b""})
    folder("cut", {"0.png": good["0.png"][:60]})
    folder("repeated", {"0.png": good["0.png"], "1.png": good["0.png"]})
    folder("only-bmp", {"0.bmp": b"BM"})
    folder("escape-codes", {"\x1b[31mred.png": b"\x1b]0;title\x07"})
    folder("links", {})
    (images / "links" / "loop.png").symlink_to("loop.png")
    (images / "links" / "nothing.png").symlink_to(images / "nothing")
    (images / "image.png").write_bytes(good["0.png"])
    (images / "broken.zip").write_bytes(b"PK\x03\x04 but no archive")
    (images / "empty.zip").write_bytes(b"")
    with zipfile.ZipFile(images / "outside.zip", "w") as archive:
        archive.writestr("../../outside.png", good["0.png"])
        archive.writestr("/absolute.png", good["1.png"])
    with zipfile.ZipFile(images / "texts.zip", "w") as archive:
        archive.writestr("notes.txt", "no image")
    _more_images(images, good["0.png"])
    (images / "lmdb").mkdir()
    (images / "lmdb" / "data.mdb").write_bytes(b"no database")


def _more_images(images: Path, good: bytes) -> None:
    """What people have instead of images, or beside them."""
    for name, files in {
        "avif": {"0.jpg": b"\0\0\0\x1cftypavif" + bytes(60)},
        "heic": {"0.jpg": b"\0\0\0\x1cftypheic" + bytes(60)},
        "jpeg-xl": {"0.png": b"\xff\x0a" + bytes(60)},
        "raw": {"0.nef": b"MM\0*" + bytes(60)},
        "lfs": {"0.png": b"version https://git-lfs.github.com/spec/v1\n"},
        "web-page": {"0.jpg": b"<!DOCTYPE html>"},
        "pdf": {"0.png": b"%PDF-1.7"},
        "hidden": {".ipynb_checkpoints/0.png": good, "a/@eaDir/0.png": good},
        "others": {"0.npy": b"\x93NUMPY", "0.svg": b"<svg/>"},
        "metadata": {"0.png": _with_text(good, bytes(80 * 2**20))},
        "one": {"0.png": good},
    }.items():
        for file, content in files.items():
            path = images / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    for name, inside in (("windows", "..\\..\\outside.png"), ("drive", "C:\\outside.png")):
        with zipfile.ZipFile(images / f"{name}.zip", "w") as archive:
            archive.writestr(inside, good)
    link = zipfile.ZipInfo("0.png")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(images / "links.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    (images / "page.zip").write_bytes(b"<!DOCTYPE html><html></html>")
    with tarfile.open(images / "set.tar", "w") as tar:
        tar.add(images / "one" / "0.png", "0.png")
    for name, values in {
        "lmdb-texts": {b"a": b"text"},
        "lmdb-unfinished": {b"32-00000": good},
    }.items():
        with lmdb.open(str(images / name)) as environment, environment.begin(write=True) as writing:
            for key, value in values.items():
                writing.put(key, value)


def _with_text(image: bytes, text: bytes) -> bytes:
    """A PNG with a compressed text put in after its header."""
    packed = b"comment\0\0" + zlib.compress(text)
    chunk = struct.pack(">I", len(packed)) + b"zTXt" + packed
    return image[:33] + chunk + struct.pack(">I", zlib.crc32(b"zTXt" + packed)) + image[33:]


SUITE = 'name = "s"\nsource = "../good.safetensors"\ntargets = ["ink"]\n'
OWN = 'name = "s"\nsource = "../good.safetensors"\nprobe_size = 8\n'

SUITES: Mapping[str, str] = {
    "good": SUITE,
    "empty": "",
    "no-toml": "name = = 3",
    "unknown-key": 'nmae = "x"\n' + SUITE,
    "name-number": SUITE.replace('"s"', "3"),
    "name-outside": SUITE.replace('"s"', '"../s"'),
    "name-capital": SUITE.replace('"s"', '"S s"'),
    "name-line": SUITE.replace('"s"', '"s\\n"'),
    "name-long": SUITE.replace('"s"', f'"{"s" * 300}"'),
    "source-number": SUITE.replace('"../good.safetensors"', "5"),
    "source-empty": SUITE.replace('"../good.safetensors"', "[]"),
    "source-blank": SUITE.replace('"../good.safetensors"', '""'),
    "source-missing": SUITE.replace("good", "gone"),
    "source-nul": SUITE.replace("good", "go\\u0000od"),
    "source-long": SUITE.replace("good", "g" * 5000),
    "source-loop": SUITE.replace("good.safetensors", "loop"),
    "targets-empty": SUITE.replace('["ink"]', "[]"),
    "targets-text": SUITE.replace('["ink"]', '"ink"'),
    "targets-unknown": SUITE.replace('["ink"]', '["inc"]'),
    "targets-twice": SUITE.replace('["ink"]', '["ink", "ink"]'),
    "targets-numbers": SUITE.replace('["ink"]', "[1]"),
    "target-outside": OWN + '[targets."../t"]\nfew_shot = "x"\n',
    "target-key": OWN + '[targets.t]\nfew_shots = "x"\n',
    "target-empty": OWN + "[targets.t]\n",
    "target-budget": OWN
    + '[targets.t]\nfew_shot = "x"\nbudgets.qick = { iterations = 5, snapshots = 3 }\n',
    "recipe-unknown": SUITE + "[recipe]\nbatsh = 4\n",
    "recipe-zero": SUITE + "[recipe]\nbatch = 0\n",
    "recipe-text": SUITE + '[recipe]\nbatch = "four"\n',
    "recipe-fraction": SUITE + "[recipe]\nbatch = 2.5\n",
    "recipe-nan": SUITE + "[recipe]\nlearning_rate = nan\n",
    "recipe-infinite": SUITE + "[recipe]\nlearning_rate = inf\n",
    "recipe-negative": SUITE + "[recipe]\nr1_gamma = -1.0\n",
    "recipe-bool": SUITE + "[recipe]\nbatch = true\n",
    "recipe-huge": SUITE + "[recipe]\nbatch = 1000000000000\n",
    "budget-zero": SUITE + "[budgets.quick]\niterations = 0\nsnapshots = 3\n",
    "budget-half": SUITE + "[budgets.quick]\niterations = 5\n",
    "budget-key": SUITE + "[budgets.quick]\niterations = 5\nsnapshots = 3\nshots = 2\n",
    "budget-huge": SUITE + f"[budgets.quick]\niterations = {10**30}\nsnapshots = 3\n",
    "budget-snapshots": SUITE + "[budgets.quick]\niterations = 5\nsnapshots = 100000000\n",
    "probe-one": "probe_size = 1\n" + SUITE,
    "probe-huge": "probe_size = 1000000000000\n" + SUITE,
    "probe-more": "probe_size = 50\nfrechet_samples = 10\n" + SUITE,
    "shots-zero": "default_shots = 0\n" + SUITE,
    "backbone": 'lpips_backbone = "resnet"\n' + SUITE,
    "frechet": 'frechet_backbone = "resnet"\n' + SUITE,
    "protocol": 'lpips_protocol = "cdc"\n' + SUITE,
    "classifier": 'classifier = "lite1"\n' + SUITE,
    "classifier-timm": 'classifier = "timm:mobilnet"\n' + SUITE,
    "classifier-hub": 'classifier = "timm:hf_hub:somebody/model"\n' + SUITE,
    "classifier-folder": 'classifier = "timm:local-dir:/tmp"\n' + SUITE,
    "base": 'base = "avatar"\n' + SUITE,
    "base-paper": 'base = "paper"\n' + SUITE.replace('targets = ["ink"]\n', ""),
    "backslash-u": OWN + '[targets.t]\nfew_shot = "C:\\Users\\x"\n',
    "backslash-t": OWN + '[targets.t]\nfew_shot = "C:\\test"\n',
    "statistics-gone": OWN + '[targets.t]\nfew_shot = "../images/good"\nstatistics = "gone.npz"\n',
    "date": SUITE.replace('"s"', "2022-06-01"),
    "deep": SUITE + "x = " + "[" * 10_000 + "]" * 10_000 + "\n",
}

IMAGE_SETS = (
    *("gone", "empty", "texts", "one-pixel", "text-as-png", "no-bytes", "cut", "repeated"),
    *("only-bmp", "links", "image.png", "broken.zip", "empty.zip", "outside.zip", "texts.zip"),
    *("lmdb", "../loop", "good", "escape-codes"),
    *("avif", "heic", "jpeg-xl", "raw", "lfs", "web-page", "pdf", "hidden", "others", "metadata"),
    *("windows.zip", "drive.zip", "links.zip", "page.zip", "set.tar"),
    *("lmdb-texts", "lmdb-unfinished"),
)


def _suites(world: Path) -> None:
    folder = world / "suites"
    folder.mkdir()
    for name, text in SUITES.items():
        (folder / f"{name}.toml").write_text(text)
    for name in IMAGE_SETS:
        text = OWN + f'[targets.t]\nfew_shot = "../images/{name}"\n'
        (folder / f"few-shot-{Path(name).name}.toml").write_text(text)
    for path in (world / "models").iterdir():
        text = SUITE.replace("good.safetensors", f"models/{path.name}")
        (folder / f"model-{path.name}.toml").write_text(text)
    (folder / "folder.toml").mkdir()
    (folder / "binary.toml").write_bytes(bytes(range(256)))
    (folder / "utf-16.toml").write_bytes(SUITE.encode("utf-16"))


def _plugins(folder: Path) -> None:
    folder.mkdir()
    head = "from fsgan_bench.training.method import Method\n\nclass Mine(Method):\n    "
    texts = {
        "syntax.py": "class Method(:\n",
        "import.py": "import nonexistent_package\n",
        "nothing.py": "x = 1\n",
        "exits.py": "import sys\nsys.exit(0)\n",
        "nameless.py": head + "name = 'mine'\n",
        "number.py": head + "name, title, version, paper = 3, 'T', '1', 'p'\n",
        "outside.py": head + "name, title, version, paper = '../mine', 'T', '1', 'p'\n",
        "taken.py": head + "name, title, version, paper = 'tgan', 'T', '1', 'p'\n",
        "text.txt": head + "name, title, version, paper = 'mine', 'T', '1', 'p'\n",
    }
    for name, text in texts.items():
        (folder / name).write_text(text)
    (folder / "binary.py").write_bytes(bytes(range(256)))


TASK: Mapping[str, Any] = {"suite": "s", "target": "t", "shots": 4, "resolution": 4}
CELL: Mapping[str, Any] = {"method": "tgan", "title": "TGAN", "seed": 0, "iterations": 4}
SCORE: Mapping[str, Any] = {
    "iteration": 0, "metric": "realisticness", "value": 0.5, "stderr": 0.1, "n": 8,
    "backbone": "lite0", "version": "1",
}  # fmt: skip


def write_run(
    root: Path,
    task: Mapping[str, Any] | str = TASK,
    cell: Mapping[str, Any] | str = CELL,
    scores: str = "",
    strip: bytes | None = None,
) -> Path:
    """A finished cell as a run leaves it, or what somebody made of it; the task's folder."""
    folder = root / "s" / "t-4shot"
    run = folder / "tgan" / "seed0-00000000"
    (run / "grids").mkdir(parents=True)
    described = cell if isinstance(cell, str) else json.dumps({"cell": cell, "hash": "0"})
    for path, content in [
        (folder / "task.json", task if isinstance(task, str) else json.dumps(task)),
        (run / "cell.json", described),
        (run / "scores.jsonl", scores or json.dumps(SCORE) + "\n"),
        (run / "DONE", ""),
    ]:
        path.write_text(content)
    if strip is not None:
        (run / "grids" / "000000.png").write_bytes(strip)
    return folder


def _results(world: Path) -> None:
    def run(name: str, **parts: Any) -> Path:
        return write_run(world / "results" / name, **parts)

    run("good")
    run("task-text", task="text")
    run("task-list", task="[]")
    run("task-empty", task={})
    run("task-shots", task={**TASK, "shots": "many"})
    run("task-resolution", task={**TASK, "resolution": -4}, strip=png(32, 8, 0))
    run("task-protocol", task={**TASK, "lpips_protocol": "other"})
    run("task-outside", task={**TASK, "suite": "../../outside"})
    run("task-deep", task="[" * 100_000)
    run("cell-text", cell="text")
    run("cell-empty", cell={})
    run("cell-seed", cell={**CELL, "seed": "first"})
    run("cell-outside", cell={**CELL, "method": "../../outside"})
    run("cell-absolute", cell={**CELL, "method": "/tmp/outside"})
    run("cell-deep", cell="[" * 100_000)
    run("scores-text", scores="text\n")
    run("scores-list", scores="[]\n")
    run("scores-lack", scores='{"iteration": 0}\n')
    run("scores-huge", scores=json.dumps({**SCORE, "iteration": 10**400}) + "\n")
    run("scores-clusters", scores=json.dumps({**SCORE, "detail": {"cluster_sizes": 5}}) + "\n")
    run("scores-deep", scores="[" * 100_000 + "\n")
    run("strip-text", strip=b"text")
    run("strip-size", strip=png(8, 8, 0))
    folder = run("task-missing")
    (folder / "task.json").unlink()
    folder = run("task-folder")
    (folder / "task.json").unlink()
    (folder / "task.json").mkdir()
    folder = run("scores-folder")
    (folder / "tgan" / "seed0-00000000" / "scores.jsonl").unlink()
    (folder / "tgan" / "seed0-00000000" / "scores.jsonl").mkdir()
    folder = run("unscored")
    (folder / "tgan" / "seed0-00000000" / "scores.jsonl").unlink()
