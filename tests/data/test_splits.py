from __future__ import annotations

import numpy as np
import pytest

from fsgan_bench.data import splits
from fsgan_bench.data.avatars import draw
from fsgan_bench.data.images import Images, content_hashes, set_hash
from fsgan_bench.data.splits import avatar_splits, check_disjoint, deduplicate, few_shot_order
from fsgan_bench.errors import UserError


def numbered(*levels: int) -> Images:
    return np.array(levels, dtype=np.uint8)[:, None, None, None] * np.ones((2, 2, 3), np.uint8)


def split(shots: int = 5, seed: int = 0, size: int = 16, **sizes: int) -> splits.Splits:
    return avatar_splits(
        "sketches",
        shots,
        seed,
        **{"n_classifier": 12, "n_reference": 9, "n_held_out": 7, **sizes},
        size=size,
    )


def test_sets_have_their_sizes_and_are_disjoint() -> None:
    result = split()
    sets = [result.few_shot, result.classifier, result.reference]
    assert [len(images) for images in sets] == [5, 12, 9]
    hashes = [digest for images in sets for digest in content_hashes(images)]
    assert len(set(hashes)) == len(hashes)
    assert result.few_shot_hash == set_hash(result.few_shot)
    assert result.classifier_hash == set_hash(result.classifier)
    assert result.reference_hash == set_hash(result.reference)


def test_more_shots_begin_with_the_fewer() -> None:
    assert np.array_equal(split(shots=10).few_shot[:5], split(shots=5).few_shot)
    assert split(shots=0).few_shot.shape == (0, 16, 16, 3)


def test_seed_changes_the_few_shot_set_only() -> None:
    one, other = split(seed=0), split(seed=1)
    assert one.few_shot_hash == split(seed=0).few_shot_hash
    assert one.few_shot_hash != other.few_shot_hash
    assert one.classifier_hash == other.classifier_hash
    assert one.reference_hash == other.reference_hash


def test_reference_does_not_depend_on_the_other_sets() -> None:
    reference = split(n_reference=9, n_held_out=7).reference
    assert np.array_equal(
        split(shots=9, n_classifier=3, n_reference=9, n_held_out=7).reference, reference
    )
    assert np.array_equal(split(n_reference=11).reference[:9], reference)


def test_too_many_shots_is_an_error() -> None:
    with pytest.raises(UserError, match=r"10000 shots .* holds 2"):
        split(shots=10_000)
    with pytest.raises(ValueError, match="negative"):
        split(shots=-1)


def test_images_that_repeat_are_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    def repeating(domain: str, start: int, count: int, size: int = 64) -> Images:
        return draw(domain, 0, 512, size)[np.arange(start, start + count) // 3 % 400]

    monkeypatch.setattr(splits, "draw", repeating)
    monkeypatch.setattr(splits, "REFERENCE_START", 200)
    monkeypatch.setattr(splits, "CLASSIFIER_START", 200)
    monkeypatch.setattr(splits, "HELD_OUT_START", 250)
    result = split(shots=80)
    sets = [result.few_shot, result.classifier, result.reference, result.held_out]
    hashes = [digest for images in sets for digest in content_hashes(images)]
    assert [len(images) for images in sets] == [80, 12, 9, 7]
    assert len(set(hashes)) == len(hashes)


def test_exhausted_domain_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        splits, "draw", lambda domain, start, count, size: draw(domain, 0, 1, size)[[0] * count]
    )
    with pytest.raises(UserError, match="too few distinct images"):
        split(shots=1)


def test_order_follows_the_images_not_their_places() -> None:
    hashes = content_hashes(numbered(*range(30)))
    chosen = [hashes[i] for i in few_shot_order(hashes, 3)]
    backwards = hashes[::-1]
    assert chosen == [backwards[i] for i in few_shot_order(backwards, 3)]
    assert chosen != [hashes[i] for i in few_shot_order(hashes, 4)]
    assert sorted(chosen) == sorted(hashes)


def test_overlap_names_sets_count_and_first_image() -> None:
    with pytest.raises(UserError) as raised:
        check_disjoint(
            few_shot=numbered(1, 2, 3, 4), classifier=numbered(9), reference=numbered(7, 4, 2, 2)
        )
    message = str(raised.value)
    assert "'few_shot' and 'reference'" in message and "share 2 images" in message
    assert "image 1 of 'few_shot' and image 2 of 'reference'" in message


def test_overlap_of_one_pixel_less_is_none() -> None:
    near = numbered(1)
    near[0, 0, 0, 0] += 1
    check_disjoint(few_shot=numbered(1, 1), reference=near, classifier=numbered())


def test_deduplicate_keeps_first_occurrences() -> None:
    assert np.array_equal(deduplicate(numbered(3, 1, 3, 2, 1)), numbered(3, 1, 2))
