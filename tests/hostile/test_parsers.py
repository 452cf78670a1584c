"""Whatever stands in a suite, in ``--set`` or ``--seeds``, it is read right or refused in words."""

from __future__ import annotations

import json
import re
import struct
import tempfile
from dataclasses import fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

import click
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fsgan_bench.cli.options import seed_list
from fsgan_bench.errors import NAME, UserError, check_name
from fsgan_bench.plugins.methods import method_entries
from fsgan_bench.plugins.settings import build_config, parse_settings
from fsgan_bench.results.cell import Cell, snapshot_schedule
from fsgan_bench.results.layout import task_folder
from fsgan_bench.stylegan2.checkpoint import load_networks, save_modules
from fsgan_bench.stylegan2.reading import read_tensors
from fsgan_bench.suites.file import _SuiteFile, parse_suite
from fsgan_bench.suites.model import Suite
from fsgan_bench.training.recipe import Recipe

FILE = Path("/somewhere/suite.toml")
NAMES = st.from_regex(re.compile(NAME, re.ASCII), fullmatch=True)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(list(_SuiteFile.model_fields))


def toml(value: Any) -> str:
    """A value in TOML, inline."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return quoted(value) if isinstance(value, str) else repr(value)


def quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(c):08x}" for c in text) + '"'


@given(st.text(max_size=200))
def test_a_suite_of_any_text_is_read_or_refused(text: str) -> None:
    try:
        assert isinstance(parse_suite(text, FILE), Suite)
    except UserError as error:
        assert str(FILE) in str(error)


@settings(max_examples=300)
@given(st.dictionaries(KEYS, VALUES, max_size=4))
def test_a_suite_of_any_values_is_read_or_refused(content: dict[str, Any]) -> None:
    good = {"name": "s", "source": "s.pt", "targets": ["ink"]}
    text = "".join(f"{key} = {toml(value)}\n" for key, value in {**good, **content}.items())
    try:
        suite = parse_suite(text, FILE)
    except UserError as error:
        assert "\n" not in str(error).replace(repr(text), "") or content
        return
    check_name("suite", suite.name)
    for target in suite.targets:
        check_name("target", target)


@given(NAMES, NAMES, st.integers(1, 65_536), st.floats(1e-9, 1e9), st.integers(2, 1000))
def test_what_a_suite_says_is_what_it_is(
    name: str, target: str, batch: int, rate: float, snapshots: int
) -> None:
    text = (
        f'name = "{name}"\nsource = "s.pt"\n[recipe]\nbatch = {batch}\nlearning_rate = {rate!r}\n'
        f"[budgets.quick]\niterations = 5\nsnapshots = {snapshots}\n"
        f'[targets.{target}]\nfew_shot = "{{target}}/images"\n'
    )
    suite = parse_suite(text, FILE)
    assert (suite.name, list(suite.targets)) == (name, [target])
    assert (suite.recipe.batch, suite.recipe.learning_rate) == (batch, rate)
    assert suite.budgets["quick"].snapshots == snapshots
    images: Any = suite.target(target).images
    assert images.few_shot.candidates[0] == FILE.parent / target / "images"


@given(st.lists(st.tuples(st.integers(0, 10**9 - 1), st.integers(0, 9)), min_size=1, max_size=5))
def test_seeds_are_those_named(ranges: list[tuple[int, int]]) -> None:
    ranges = [(first, min(extra, 10**9 - 1 - first)) for first, extra in ranges]
    text = ",".join(f"{a}-{a + n}" if n else f" {a} " for a, n in ranges)
    option: Any = None
    assert seed_list(option, option, text) == tuple(
        s for a, n in ranges for s in range(a, a + n + 1)
    )


@given(st.one_of(st.text(max_size=30), st.text("0123456789-, ", max_size=30)))
def test_any_text_is_seeds_or_refused(text: str) -> None:
    option: Any = None
    try:
        seeds = seed_list(option, option, text)
    except click.BadParameter:
        return
    assert seeds and all(0 <= seed < 10**9 for seed in seeds)
    assert re.fullmatch(r"[0-9,\s-]+", text)


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_setting_is_split_at_the_first_equals(key: str, value: str) -> None:
    setting = f"dcl.{key}={value}"
    key, _, value = setting.removeprefix("dcl.").partition("=")
    if not key.strip():
        with pytest.raises(UserError, match=r"METHOD\.KEY=VALUE"):
            parse_settings([setting], ["dcl"])
        return
    assert parse_settings([setting], ["dcl"]) == {"dcl": {key.strip(): [value.strip()]}}
    assert parse_settings([setting] * 2, ["dcl"]) == {"dcl": {key.strip(): [value.strip()] * 2}}


@given(st.text(max_size=40))
def test_any_text_is_a_setting_or_refused(setting: str) -> None:
    try:
        parsed = parse_settings([setting], ["dcl", "cdc"])
    except UserError:
        return
    assert set(parsed) <= {"dcl", "cdc"} and all(parsed[method] for method in parsed)


METHODS = {name: entry.load() for name, entry in method_entries().items() if not entry.third_party}
SETTINGS = [(name, field.name) for name, m in METHODS.items() for field in fields(m.Config)]


@given(st.sampled_from(SETTINGS), st.one_of(st.text(max_size=20), st.floats().map(repr)))
def test_any_value_of_a_setting_is_taken_or_refused(setting: tuple[str, str], text: str) -> None:
    method, key = setting
    try:
        config = build_config(METHODS[method], {key: text})
    except UserError as error:
        assert str(error).startswith(f"{method}.{key}")
        return
    value = getattr(config, key)
    assert value == value, "NaN"
    assert json.loads(json.dumps(value)) == (list(value) if isinstance(value, tuple) else value)


CELL = Cell(
    suite="s", target="t", shots=4, method="tgan", title="TGAN", paper="", method_version="1",
    method_source=None, config={}, seed=0, iterations=6, snapshots=(0, 6), recipe=Recipe(),
    source_hash="0" * 64, few_shot_hash="1" * 64,
)  # fmt: skip

CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "suite": NAMES,
        "target": NAMES,
        "shots": st.integers(1, 100),
        "method": NAMES,
        "method_version": st.text(max_size=3),
        "method_source": st.one_of(st.none(), st.text("0123456789abcdef", max_size=3)),
        "config": st.dictionaries(
            st.text(max_size=3), SCALARS.filter(lambda v: v == v), max_size=2
        ),
        "seed": st.integers(0, 10**9 - 1),
        "iterations": st.integers(1, 1000),
        "snapshots": st.lists(st.integers(0, 9), max_size=3).map(tuple),
        "recipe": st.integers(1, 9).map(lambda batch: Recipe(batch=batch)),
        "source_hash": st.text("0123456789abcdef", max_size=3),
        "few_shot_hash": st.text("0123456789abcdef", max_size=3),
    },
)


@settings(max_examples=300)
@given(CHANGES, CHANGES)
def test_different_cells_have_different_folders(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = replace(CELL, **one), replace(CELL, **other)
    folders = [cell.folder(folder_of_task(cell)) for cell in (first, second)]
    same = json.dumps(first.to_json(), sort_keys=True) == json.dumps(
        second.to_json(), sort_keys=True
    )
    assert (first.hash == second.hash) is same
    assert (folders[0] == folders[1]) is same
    for cell, folder in zip((first, second), folders, strict=True):
        below = folder.relative_to("/root")
        assert below.parts == (cell.suite, *below.parts[1:4])
        assert len(below.parts) == 4 and ".." not in below.parts
        assert PurePosixPath(below.as_posix()) == PurePosixPath(*below.parts)
        for part in below.parts:
            assert re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,99}", part)


def folder_of_task(cell: Cell) -> Path:
    return task_folder(Path("/root"), cell.suite, cell.target, cell.shots)


@given(st.integers(1, 10**7), st.integers(2, 1000))
def test_snapshots_begin_at_0_and_end_at_the_end(iterations: int, count: int) -> None:
    schedule = snapshot_schedule(iterations, count)
    assert (schedule[0], schedule[-1]) == (0, iterations)
    assert list(schedule) == sorted(set(schedule)) and len(schedule) <= count


def test_snapshots_come_back_as_they_were(tmp_path: Path) -> None:
    shapes = st.lists(st.integers(0, 3), max_size=3)
    cards = st.dictionaries(st.text(max_size=9), SCALARS.filter(lambda v: v == v), max_size=3)

    @given(st.lists(shapes, max_size=3), cards)
    def check(all_shapes: list[list[int]], card: dict[str, Any]) -> None:
        module = torch.nn.Module()
        for index, shape in enumerate(all_shapes):
            module.register_buffer(f"b{index}", torch.randn(shape))
        save_modules(tmp_path / "snapshot.safetensors", torch.nn.ModuleDict({"g": module}), card)
        tensors, read = read_tensors(tmp_path / "snapshot.safetensors")
        assert read == json.loads(json.dumps(card))
        expected = {f"g.{name}": value for name, value in module.state_dict().items()}
        assert set(tensors) == set(expected)
        assert all(torch.equal(tensors[name], expected[name]) for name in expected)

    check()


HEADERS = st.one_of(
    st.binary(max_size=60),
    st.dictionaries(
        st.text(max_size=8),
        st.one_of(
            SCALARS.filter(lambda v: v == v),
            st.fixed_dictionaries(
                {
                    "dtype": st.sampled_from(["F32", "F64", "I8", "BOOL", "X9"]),
                    "shape": st.lists(st.integers(-1, 2**40), max_size=3),
                    "data_offsets": st.lists(st.integers(-1, 2**40), min_size=2, max_size=2),
                }
            ),
        ),
        max_size=3,
    ).map(lambda header: json.dumps(header).encode()),
)


@given(HEADERS, st.binary(max_size=16), st.integers(-1, 2**63))
def test_any_header_of_a_snapshot_is_refused(header: bytes, rest: bytes, length: int) -> None:
    size = len(header) if length < 0 else length
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        file.write_bytes(struct.pack("<Q", size) + header + rest)
        with pytest.raises(UserError, match=r"model\.safetensors"):
            load_networks(file)
