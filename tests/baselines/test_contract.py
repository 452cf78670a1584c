"""Every method that has a name keeps to the contract, third-party ones included."""

from __future__ import annotations

import pytest

from fsgan_bench.contract.run import CHECKS
from fsgan_bench.contract.trial import Bench
from fsgan_bench.plugins.methods import method_entries

ENTRIES = method_entries()


def test_our_seven_methods_are_registered() -> None:
    own = [name for name, entry in ENTRIES.items() if not entry.third_party]
    assert sorted(own) == ["bsa", "cdc", "dcl", "ewc", "freezed", "minegan", "tgan"]


def test_titles_differ() -> None:
    titles = [entry.load().title for entry in ENTRIES.values()]
    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("check", CHECKS)
@pytest.mark.parametrize("name", ENTRIES)
def test_it_keeps_to_the_contract(name: str, check: str) -> None:
    CHECKS[check](Bench(ENTRIES[name].load()))
