from __future__ import annotations

import numpy as np
import pytest

from classifiers.data import prepare
from fsgan_bench.data.images import Images, content_hashes
from fsgan_bench.errors import UserError

Sets = dict[str, Images]


def split(sets: Sets) -> tuple[Images, Sets]:
    return sets["target"], {name: sets[name] for name in sets if name != "target"}


def test_weights_give_both_classes_and_the_source_a_half(coloured: Sets) -> None:
    coloured["robots"] = coloured["robots"][:8]
    data = prepare(*split(coloured), source="ink", seed=0)
    weights = {group.name: group.weight for group in data.groups}
    assert weights == {"target": 0.5, "faces": 0.125, "ink": 0.25, "robots": 0.125}
    images, labels, each = data.training_set()
    assert each.mean() == pytest.approx(1)
    assert each[labels == 1].sum() == pytest.approx(each[labels == 0].sum())
    position = 0
    for group in data.groups:
        part = slice(position, position + len(group.train))
        assert np.array_equal(images[part], group.train)
        assert each[part].sum() / each.sum() == pytest.approx(group.weight)
        assert set(labels[part]) == {float(group.is_target)}
        position += len(group.train)
    assert position == len(images)


def test_one_non_target_domain_takes_its_whole_half(coloured: Sets) -> None:
    data = prepare(coloured["target"], {"faces": coloured["faces"]}, None, seed=0)
    assert data.source == "faces"
    assert [group.weight for group in data.groups] == [0.5, 0.5]


def test_a_quarter_of_every_set_is_held_out_and_nothing_is_lost(coloured: Sets) -> None:
    data = prepare(*split(coloured), source=None, seed=3)
    assert data.source_group.name == "faces"
    for group in data.groups:
        assert (len(group.train), len(group.held_out)) == (9, 3)
        train, held_out = content_hashes(group.train), content_hashes(group.held_out)
        assert set(train) | set(held_out) == set(content_hashes(coloured[group.name]))
        assert not set(train) & set(held_out)


def test_the_seed_decides_the_split(coloured: Sets) -> None:
    target, negatives = split(coloured)
    first, again, other = (prepare(target, negatives, None, seed) for seed in (0, 0, 1))
    assert np.array_equal(first.target.held_out, again.target.held_out)
    assert not np.array_equal(first.target.held_out, other.target.held_out)
    assert [group.hash for group in first.groups] == [group.hash for group in other.groups]


def test_repeated_images_count_once(coloured: Sets) -> None:
    target, negatives = split(coloured)
    data = prepare(np.concatenate([target, target[:5]]), negatives, None, seed=0)
    assert len(data.target.train) + len(data.target.held_out) == 12


def test_shared_images_are_an_error(coloured: Sets) -> None:
    coloured["ink"][3] = coloured["target"][7]
    with pytest.raises(UserError, match=r"'target' and 'non-target ink' .* image 7 .* image 3"):
        prepare(*split(coloured), source=None, seed=0)


def test_too_few_images_are_an_error(coloured: Sets) -> None:
    coloured["robots"] = coloured["robots"][[0] * 12]
    with pytest.raises(UserError, match=r"'non-target robots' has 1 distinct images.*at least 8"):
        prepare(*split(coloured), source=None, seed=0)


def test_images_of_another_size_are_an_error(coloured: Sets) -> None:
    coloured["ink"] = coloured["ink"][:, :4]
    with pytest.raises(UserError, match="'non-target ink' is 4x8 and the target 8x8"):
        prepare(*split(coloured), source=None, seed=0)


def test_a_source_must_be_there(coloured: Sets) -> None:
    with pytest.raises(UserError, match=r"'face' is not among .* Did you mean 'faces'"):
        prepare(*split(coloured), source="face", seed=0)
    with pytest.raises(UserError, match="at least one non-target"):
        prepare(coloured["target"], {}, None, seed=0)
