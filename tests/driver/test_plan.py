"""Cells, schedules, settings and names."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from baselines.dcl import DCL
from fsgan_bench.driver.plan import check_numerics, make_plan
from fsgan_bench.driver.request import RunRequest
from fsgan_bench.errors import UserError
from fsgan_bench.plugins.methods import method_entries, method_names
from fsgan_bench.plugins.settings import build_config, build_configs, parse_settings
from fsgan_bench.results.cell import Cell, cell_hash, snapshot_schedule
from fsgan_bench.suites.file import get_suite
from fsgan_bench.system.names import shots_in_words
from fsgan_bench.training.numerics import Numerics
from fsgan_bench.training.recipe import Recipe


@given(st.integers(1, 5000), st.integers(2, 60))
def test_schedule_starts_at_0_ends_at_the_end_and_is_denser_early(
    iterations: int, count: int
) -> None:
    schedule = snapshot_schedule(iterations, count)
    assert schedule[0] == 0 and schedule[-1] == iterations
    assert list(schedule) == sorted(set(schedule))
    assert len(schedule) <= count
    if iterations >= 20 * count:
        gaps = [b - a for a, b in itertools.pairwise(schedule)]
        assert len(schedule) == count
        assert gaps[0] <= gaps[-1]


def test_cells_elsewhere_may_have_what_this_machine_lacks() -> None:
    request = RunRequest("tgan", ("sketches",), executor="slurm", device="cuda", precision="fp16")
    check_numerics(request, get_suite("avatars"), ())
    with pytest.raises(UserError, match="--precision fp16 needs a GPU"):
        check_numerics(replace(request, device="cpu"), get_suite("avatars"), ())


def test_one_shot_is_not_several() -> None:
    assert [shots_in_words(count) for count in (1, 10)] == ["1 shot", "10 shots"]


def cell(**changes: object) -> Cell:
    made = Cell(
        suite="avatars",
        target="sketches",
        shots=10,
        method="tgan",
        title="TGAN",
        paper="somebody",
        method_version="1",
        method_source=None,
        config={},
        seed=0,
        iterations=100,
        snapshots=(0, 100),
        recipe=Recipe(),
        source_hash="a",
        few_shot_hash="b",
    )
    return replace(made, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": 1},
        {"shots": 5},
        {"config": {"tau": 1}},
        {"recipe": Recipe(batch=8)},
        {"source_hash": "c"},
        {"few_shot_hash": "c"},
        {"method_version": "2"},
        {"method_source": "d"},
        {"iterations": 101},
        {"numerics": Numerics("bf16")},
        {"numerics": Numerics(accumulate=2)},
        {"numerics": Numerics(compile=True)},
    ],
)
def test_whatever_decides_the_weights_decides_the_hash(changes: dict[str, object]) -> None:
    assert cell(**changes).hash != cell().hash


def test_finished_cells_keep_their_hash_as_fields_are_added() -> None:
    """Stored cells name the fields of their day, all of which went into their hash."""
    stored = sorted((Path(__file__).parent / "stored").glob("cell*.json"))
    assert len(stored) == 2
    for path in stored:
        document = json.loads(path.read_text(encoding="utf-8"))
        fields = {key: value for key, value in document["cell"].items() if key != "protocol"}
        assert cell_hash(fields) == document["hash"]
        assert Cell(**{**fields, "recipe": Recipe(**fields["recipe"])}).method == fields["method"]


def test_numerics_are_named_where_they_are_chosen() -> None:
    assert cell(numerics=Numerics()).to_json() == cell().to_json()
    assert "precision" not in cell().to_json()
    chosen = cell(numerics=Numerics("bf16", 2)).to_json()
    assert (chosen["precision"], chosen["accumulate"]) == ("bf16", 2)


def test_words_do_not_decide_the_hash() -> None:
    assert cell(title="another title", paper="another").hash == cell().hash


def test_all_stands_for_the_built_in_methods() -> None:
    entries = method_entries()
    names = set(method_names("all", entries))
    assert names == {"tgan", "bsa", "freezed", "minegan", "ewc", "cdc", "dcl"}
    assert method_names("cdc, tgan", entries) == ["cdc", "tgan"]
    assert method_names("cdc, all", entries)[0] == "cdc"


def test_settings_are_parsed_by_type() -> None:
    settings = parse_settings(
        ["dcl.tau=0.1", "dcl.patch_downscales=8,16", "dcl.discriminator_cl_updates=both"], ["dcl"]
    )
    (config,) = build_configs(DCL, settings["dcl"])
    assert config.tau == 0.1
    assert config.patch_downscales == (8, 16)
    assert config.discriminator_cl_updates == "both"


def test_several_values_are_a_config_for_each_combination() -> None:
    settings = parse_settings(
        ["dcl.discriminator_cl_updates=both, generator", "dcl.tau=0.1,1,10"], ["dcl"]
    )
    configs = build_configs(DCL, settings["dcl"])
    assert [(c.discriminator_cl_updates, c.tau) for c in configs] == [
        (updates, tau) for updates in ("both", "generator") for tau in (0.1, 1.0, 10.0)
    ]
    assert build_configs(DCL, {}) == [DCL.Config()]


def test_a_list_takes_several_values_by_a_set_each() -> None:
    settings = parse_settings(["dcl.patch_downscales=8", "dcl.patch_downscales=8,16"], ["dcl"])
    configs = build_configs(DCL, settings["dcl"])
    assert [config.patch_downscales for config in configs] == [(8,), (8, 16)]


@pytest.mark.parametrize("value", ["neither", "1"])
def test_a_choice_outside_the_list_is_refused(value: str) -> None:
    with pytest.raises(UserError, match="discriminator_cl_updates"):
        build_config(DCL, {"discriminator_cl_updates": value})


@given(st.text())
def test_any_text_is_a_setting_or_a_sentence(text: str) -> None:
    try:
        parsed = parse_settings([text], ["dcl"])
    except UserError as error:
        assert str(error)
    else:
        assert list(parsed) == ["dcl"]


def test_the_documented_suite_is_a_suite(tmp_path: Path) -> None:
    page = Path(__file__).parents[2] / "docs/how-to/own-images.md"
    (example,) = re.findall(r"```toml\n(.*?)```", page.read_text("utf-8"), flags=re.DOTALL)
    path = tmp_path / "my-suite.toml"
    path.write_text(example, encoding="utf-8")
    suite = get_suite(str(path))
    assert suite.source.path == tmp_path / "model.pt"
    assert suite.recipe.batch == 8
    assert suite.budget("paper").iterations == 3000
    assert list(suite.targets) == ["manga"]
    assert suite.target("manga").images.parts[0].location.path == tmp_path / "manga"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "lacks name"),
        ("name =", "cannot be read"),
        ('name = "x"\nsource = "a"\nfoo = 1', "no setting 'foo'"),
        ('name = "../x"\nsource = "a"', "cannot be a name"),
        ('name = "x"\nsource = "a"\ntargets = ["sketchs"]', "Did you mean 'sketches'?"),
        ('name = "x"\nsource = "a"\n[recipe]\nbath = 2', "Did you mean 'batch'?"),
        ('name = "x"\nsource = "a"\n[recipe]\nbatch = 0', "batch must lie in 1 to 65,536"),
        (
            'name = "x"\nsource = "a"\n[budgets.quick]\niterations = 0\nsnapshots = 2',
            "1 to 10,000,000 iterations",
        ),
        (
            'name = "x"\nsource = "a"\nlpips_backbone = "inception"',
            "must be 'lite0', 'vgg', 'alex' or 'squeeze', not 'inception'",
        ),
        ('name = "x"\nprobe_size = "1"', "probe_size: must be a whole number, not '1'."),
        ('name = "x"\nprobe_size = 1', "probe_size: must be at least 2, not 1."),
        ('name = "x"\nprobe_size = 2000000', "probe_size: must be at most 1000000, not 2000000."),
        ('name = "x"\ntargets = 3', "targets: must be a list, not 3."),
        ('name = "x"\ngrey_source = 1', "grey_source: must be true or false, not 1."),
        ('name = "x"\nsource = "a"\nfrechet_samples = 999', "at least probe_size (1000), not 999"),
    ],
)
def test_a_bad_suite_file_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=re.escape(sentence)):
        get_suite(str(path))


def test_what_a_config_refuses_is_said_in_its_words() -> None:
    with pytest.raises(UserError, match=r"^The settings of dcl do not fit: anchor_every must be"):
        build_config(DCL, {"anchor_every": "0"})


def test_a_suites_settings_hold_unless_the_run_says_otherwise(suite: Path, tmp_path: Path) -> None:
    own = suite.parent / "settings.toml"
    own.write_text(
        'settings = ["ewc.strength=7", "dcl.tau=0.5", "elsewhere.x=1"]\n' + suite.read_text()
    )
    asked = RunRequest("tgan,ewc,dcl", ("sketches",), suite=str(own), out=tmp_path / "results")
    asked = replace(asked, settings=("dcl.tau=0.2",))
    plan = make_plan(asked)
    configs = {cell.method: cell.config for _, cell in plan.cells}
    assert configs["ewc"]["strength"] == 7
    assert configs["dcl"]["tau"] == 0.2
    assert plan.unused == ("elsewhere.x=1",)
