from __future__ import annotations

import numpy as np
import pytest

from fsgan_bench.data.attributes import (
    ABSENT,
    NONE,
    attribute_table,
    attributes_of,
    has_attributes,
)
from fsgan_bench.data.avatars import DOMAINS
from fsgan_bench.data.rendering import svg_of

FACES = DOMAINS["faces"]
COUNT = 30


def test_the_table_agrees_with_what_is_drawn() -> None:
    attributes = attributes_of(FACES)
    table = attribute_table(FACES, 5, COUNT)
    assert table.shape == (COUNT, len(attributes))
    for row, index in zip(table, range(5, 5 + COUNT), strict=True):
        svg, resolved = svg_of(FACES, index)
        for value, attribute in zip(row, attributes, strict=True):
            if value == ABSENT:
                assert not resolved.get(attribute.option), attribute.name
            elif attribute.values[value] == NONE:
                assert resolved.get(attribute.option) is None
            elif attribute.option.endswith("Color"):
                assert attribute.values[value] in svg
            else:
                assert resolved[attribute.option] == attribute.values[value]


def test_a_colour_is_there_exactly_with_the_part_that_shows_it() -> None:
    attributes = attributes_of(FACES)
    table = attribute_table(FACES, 0, COUNT)
    carried = 0
    for column, attribute in enumerate(attributes):
        there = table[:, column] != ABSENT
        if attribute.carrier is None:
            assert there.all()
        else:
            carrier = table[:, attribute.carrier]
            assert np.array_equal(there, np.isin(carrier, sorted(attribute.carried_by)))
            carried += 1
    assert carried == 4


def test_values_are_as_frequent_as_stated() -> None:
    table = attribute_table(FACES, 0, 200)
    for column, attribute in enumerate(attributes_of(FACES)):
        assert sum(attribute.frequencies) == pytest.approx(1)
        there = table[:, column][table[:, column] != ABSENT]
        counts = np.bincount(there, minlength=len(attribute.values))
        expected = np.array(attribute.frequencies) * len(there)
        chi_square = ((counts - expected) ** 2 / expected).sum()
        degrees = len(counts) - 1
        assert chi_square < degrees + 5 * np.sqrt(2 * degrees), attribute.name


def test_only_named_styles_have_attributes() -> None:
    assert has_attributes(DOMAINS["sunglasses"])
    assert not has_attributes(DOMAINS["ink"])
    assert attributes_of(DOMAINS["ink"]) == ()
    glasses = next(a for a in attributes_of(DOMAINS["sunglasses"]) if a.name == "glasses")
    assert NONE not in glasses.values
