from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from fsgan_bench.data import avatars
from fsgan_bench.data.avatars import DOMAINS, SOURCE, SUNGLASSES, draw, get_domain
from fsgan_bench.data.cache import cache_dir
from fsgan_bench.data.filters import grey, pencil, watercolour
from fsgan_bench.data.images import content_hash, content_hashes, set_hash
from fsgan_bench.data.rendering import svg_of
from fsgan_bench.errors import UserError
from fsgan_bench.system import machine

HASHES = (
    "from fsgan_bench.data.avatars import DOMAINS, draw\n"
    "from fsgan_bench.data.images import set_hash\n"
    "import json\n"
    "print(json.dumps({name: set_hash(draw(name, 3, 2)) for name in DOMAINS}))"
)


def test_images_are_the_same_in_another_process(tmp_path: Path) -> None:
    environment = {**os.environ, "FSGAN_BENCH_CACHE": str(tmp_path), "PYTHONHASHSEED": "7"}
    output = subprocess.run(
        [sys.executable, "-c", HASHES], env=environment, capture_output=True, text=True, check=True
    ).stdout
    assert json.loads(output) == {name: set_hash(draw(name, 3, 2)) for name in DOMAINS}


@pytest.mark.parametrize("name", DOMAINS)
def test_image_depends_on_its_index_alone(name: str) -> None:
    images = draw(name, 0, 5)
    assert images.shape == (5, 64, 64, 3) and images.dtype == np.uint8
    assert np.array_equal(draw(name, 2, 3), images[2:])
    assert len(set(content_hashes(images))) == 5


def test_ranges_join_across_cache_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = draw("faces", 1, 9, size=16)
    monkeypatch.setattr(avatars, "BLOCK", 4)
    assert np.array_equal(draw("faces", 1, 9, size=16), whole)
    assert draw("faces", 5, 0, size=16).shape == (0, 16, 16, 3)


def test_several_blocks_are_drawn_by_processes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    whole = draw("sketches", 3, 9, size=16)
    monkeypatch.setattr(avatars, "BLOCK", 4)
    monkeypatch.setattr(machine, "cores", lambda: 2)
    monkeypatch.setenv("FSGAN_BENCH_CACHE", str(tmp_path))
    assert np.array_equal(draw("sketches", 3, 9, size=16), whole)
    assert len(list(tmp_path.rglob("*.npy"))) == 3
    monkeypatch.setattr(avatars, "render", None)
    assert np.array_equal(draw("sketches", 3, 9, size=16), whole)


@pytest.mark.parametrize(("start", "count", "size"), [(-1, 1, 64), (0, -1, 64), (0, 1, 2)])
def test_draw_rejects_nonsense(start: int, count: int, size: int) -> None:
    with pytest.raises(ValueError, match="start"):
        draw("faces", start, count, size)


def test_unknown_domain_suggests_one() -> None:
    with pytest.raises(UserError, match="Did you mean 'sketches'"):
        draw("sketch", 0, 1)


def test_faces_are_centred_close_up_on_white() -> None:
    images = draw("faces", 0, 40)
    assert (images[:, :4, [0, -1]] == 255).all()
    drawn = (images != 255).any(axis=3).mean(axis=0)
    assert abs((drawn * np.arange(64)).sum() / drawn.sum() - 31.5) < 2
    assert drawn[20:52, 20:44].mean() > 0.9


def test_a_window_shows_its_part_of_the_drawing() -> None:
    domain = get_domain("faces")
    assert domain.window is not None
    whole = draw(dataclasses.replace(domain, name="faces", window=None), 0, 4, size=128)
    quarter = draw(dataclasses.replace(domain, window=(0.25, 0.25, 0.5)), 0, 4, size=64)
    assert np.abs(whole[:, 32:96, 32:96].astype(int) - quarter).mean() < 0.5


def worn(name: str, index: int) -> str | None:
    resolved = svg_of(get_domain(name), index)[1]
    accessory = resolved.get("accessoriesVariant")
    assert accessory is None or isinstance(accessory, str)
    return accessory


def test_no_sunglasses_in_the_source_and_everywhere_in_the_target() -> None:
    source = {worn("faces", index) for index in range(400)}
    target = {worn("sunglasses", index) for index in range(60)}
    assert target == set(SUNGLASSES)
    assert not source & target
    assert source == {None, *avatars.GLASSES}


def test_targets_of_the_source_style_show_other_faces() -> None:
    seen = {content_hash(image) for image in draw(SOURCE, 0, 40, size=32)}
    for name in ("sketches", "watercolours", "grey-faces"):
        domain = get_domain(name)
        unfiltered = dataclasses.replace(domain, filter=None)
        assert seen.isdisjoint(content_hashes(draw(unfiltered, 0, 40, size=32)))


def test_ideal_is_the_filter_where_the_faces_are_the_source_population() -> None:
    assert {name: domain.ideal for name, domain in DOMAINS.items() if domain.ideal} == {
        "sketches": pencil,
        "watercolours": watercolour,
        "grey-faces": grey,
    }


def test_credits_are_those_of_the_style_definitions() -> None:
    for domain in DOMAINS.values():
        file = resources.files("dicebear_styles") / f"{domain.style}.json"
        meta = json.loads(file.read_text(encoding="utf-8"))["meta"]
        assert domain.licence == meta["license"]["name"]
        assert domain.licence_url == meta["license"]["url"]
        assert domain.credit == f"{meta['source']['name']} by {meta['creator']['name']}"
        assert domain.credit_url == meta["source"]["url"]
        assert domain.credit in domain.attribution and domain.licence in domain.attribution


@pytest.mark.parametrize("rendering", [grey, pencil, watercolour])
def test_filters_treat_every_image_alone(rendering: avatars.Rendering) -> None:
    faces = draw("faces", 0, 6)
    before = faces.copy()
    filtered = rendering(faces)
    assert filtered.shape == faces.shape and filtered.dtype == np.uint8
    assert np.array_equal(faces, before)
    for index in range(6):
        assert np.array_equal(rendering(faces[index : index + 1])[0], filtered[index])


def test_pencil_draws_contours_in_grey_on_white() -> None:
    blank = np.full((1, 64, 64, 3), 255, dtype=np.uint8)
    assert np.array_equal(pencil(blank), blank)
    disc = blank.copy()
    disc[0, 16:48, 16:48] = (200, 80, 40)
    drawing = pencil(disc)
    assert (drawing[..., 0] == drawing[..., 1]).all() and (drawing[..., 1] == drawing[..., 2]).all()
    level = drawing[0, ..., 0].astype(int)
    contour, inside, outside = level[32, 16], level[32, 32], level[32, 2]
    assert contour < inside - 30 < inside < outside == 255
    assert (pencil(disc) >= grey(disc)).all()


def test_pencil_keeps_a_quarter_of_the_grey() -> None:
    for value in (0, 40, 120, 200):
        flat = np.full((1, 32, 32, 3), value, dtype=np.uint8)
        dodged = 0 if value == 0 else 255
        expected = 0.75 * dodged + 0.25 * value
        assert abs(pencil(flat).astype(float) - expected).max() <= 0.5


def test_pencil_commutes_with_mirroring() -> None:
    faces = draw("faces", 0, 4)
    difference = pencil(faces[:, :, ::-1]).astype(int) - pencil(faces)[:, :, ::-1]
    assert abs(difference).max() <= 1


def test_watercolour_is_on_cream_paper_and_keeps_the_face() -> None:
    faces = draw("faces", 0, 8)
    painted = watercolour(faces)
    corner = painted[:, 0, 0].mean(axis=0)
    assert corner[0] > corner[2] + 5 and corner.min() > 200
    coarse = [x.reshape(8, 8, 8, 8, 8, 3).mean(axis=(2, 4)).ravel() for x in (faces, painted)]
    assert np.corrcoef(*coarse)[0, 1] > 0.9
    assert abs(painted.astype(int) - faces).mean() > 10


@pytest.mark.parametrize("damage", [b"", b"not an array", None])
def test_damaged_cache_file_is_drawn_again(
    damage: bytes | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSGAN_BENCH_CACHE", str(tmp_path))
    images = draw("faces", 0, 3, size=16)
    (file,) = tmp_path.rglob("*.npy")
    whole = file.read_bytes()
    file.write_bytes(whole[:-100] if damage is None else damage)
    assert np.array_equal(draw("faces", 0, 3, size=16), images)
    assert file.read_bytes() == whole
    assert len(list(file.parent.iterdir())) == 1


def test_cache_of_another_shape_is_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FSGAN_BENCH_CACHE", str(tmp_path))
    images = draw("faces", 0, 3, size=16)
    (file,) = tmp_path.rglob("*.npy")
    np.save(file, images[:2])
    assert np.array_equal(draw("faces", 0, 3, size=16), images)


def test_cache_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSGAN_BENCH_CACHE", str(tmp_path))
    assert cache_dir() == tmp_path
    draw("faces", 0, 3, size=16)
    (file,) = tmp_path.rglob("*.npy")
    marked = np.zeros((3, 16, 16, 3), dtype=np.uint8)
    np.save(file, marked)
    assert np.array_equal(draw("faces", 0, 3, size=16), marked)


def test_drawing_works_without_a_writable_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = draw("faces", 0, 2, size=16)
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("FSGAN_BENCH_CACHE", str(blocked))
    assert np.array_equal(draw("faces", 0, 2, size=16), expected)


def test_two_processes_may_draw_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSGAN_BENCH_CACHE", str(tmp_path))
    code = (
        "from fsgan_bench.data.avatars import draw\n"
        "from fsgan_bench.data.images import set_hash\n"
        "print(set_hash(draw('faces', 0, 20, size=16)))"
    )
    drawing = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    hashes = {process.communicate(timeout=120)[0] for process in drawing}
    assert hashes == {set_hash(draw("faces", 0, 20, size=16)) + "\n"}
    assert len([file for file in tmp_path.rglob("*") if file.is_file()]) == 1


def test_definition_hash_tells_domains_apart() -> None:
    assert len({domain.definition_hash for domain in DOMAINS.values()}) == len(DOMAINS)
    face = get_domain("faces")
    changed = dataclasses.replace(face, options={"accessoriesProbability": 0})
    assert changed.definition_hash != face.definition_hash
