from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fsgan_bench.data.images import load_folder
from fsgan_bench.data.sources import load_images
from fsgan_bench.errors import UserError


def png(level: int, size: tuple[int, int] = (8, 8), mode: str = "RGB") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (level,) * 3).convert(mode).save(buffer, format="PNG")
    return buffer.getvalue()


def make_zip(path: Path, entries: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return path


def test_zip_equals_the_folder_of_its_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name, size, mode in (("a", (8, 20), "RGB"), ("b", (30, 9), "RGBA"), ("c", (7, 7), "L")):
        pixels = rng.integers(0, 256, (*size, 4), dtype=np.uint8)
        Image.fromarray(pixels).convert(mode).save(tmp_path / f"{name}.png")
    files = sorted(tmp_path.iterdir())
    entries = {f"0000{i}/{file.name}": file.read_bytes() for i, file in enumerate(files)}
    path = make_zip(tmp_path / "set.zip", {"dataset.json": b"{}", **entries})
    assert np.array_equal(load_images(path, 8), load_folder(tmp_path, 8))
    assert np.array_equal(load_images(tmp_path, 8), load_folder(tmp_path, 8))


def test_all_bad_entries_are_named_at_once(tmp_path: Path) -> None:
    path = make_zip(
        tmp_path / "set.zip",
        {"a.png": png(1), "b.png": png(1), "c.png": b"", "d.png": png(2)[:40], "../e.png": png(3)},
    )
    with pytest.raises(UserError) as caught:
        load_images(path, 8)
    message = str(caught.value)
    for part in ("'b.png' (repeats 'a.png')", "'c.png' (damaged)", "'d.png'", "(outside the"):
        assert part in message
    assert "\n" not in message


def test_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = make_zip(tmp_path / "set.zip", {"a.png": bytes(65 * 2**20)})
    with pytest.raises(UserError, match="over 64 MiB"):
        load_images(path, 8)


def test_nothing_to_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no image"):
        load_images(make_zip(tmp_path / "set.zip", {"dataset.json": b"{}"}), 8)
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"PK")
    with pytest.raises(UserError, match="cannot be read as a zip"):
        load_images(broken, 8)
    with pytest.raises(UserError, match="does not exist"):
        load_images(tmp_path / "none.zip", 8)
