"""Suite files: the built-in ones and a user's, by one reader."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from fsgan_bench.cli.main import main
from fsgan_bench.data.targets import AvatarImages, FileImages
from fsgan_bench.errors import UserError
from fsgan_bench.suites.file import _SuiteFile, _Target, get_suite, parse_suite
from fsgan_bench.suites.model import AVATARS, PAPER, Budget, Suite
from fsgan_bench.training.recipe import Recipe

OWN = 'name = "mine"\nbase = "paper"\nsource = "model.pt"\n'


def read(tmp_path: Path, text: str, data: Path | None = None) -> Suite:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return get_suite(str(path), data)


def files(suite: Suite, target: str) -> FileImages:
    images = suite.target(target).images
    assert isinstance(images, FileImages)
    return images


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        (
            "ffhq",
            "babies sunglasses sketches amedeo raphael otto metfaces afhq-cat afhq-dog afhq-wild",
        ),
        ("lsun-church", "haunted-houses van-gogh landscapes"),
    ],
)
def test_the_papers_suites(name: str, targets: str) -> None:
    suite = get_suite(name)
    assert list(suite.targets) == targets.split()
    assert suite.recipe == Recipe(start_from_average=False)
    assert suite.settings == ("tgan_ada.images_to_full=500000",)
    assert (suite.lpips_backbone, suite.frechet_backbone) == ("vgg", "inception_legacy")
    assert (suite.lpips_protocol, suite.probe_size, suite.frechet_samples) == (
        "cdc2021",
        1000,
        5000,
    )
    assert suite.default_shots == 10


def test_settings_of_methods(tmp_path: Path) -> None:
    own = OWN + "[targets.a]\nfew_shot = 'x'\n"
    assert read(tmp_path, own).settings == ("tgan_ada.images_to_full=500000",)
    assert read(tmp_path, "settings = ['dcl.lambda1=1']\n" + own).settings == ("dcl.lambda1=1",)
    with pytest.raises(UserError, match="settings"):
        read(tmp_path, "settings = ['lambda1=1']\n" + own)


def test_near_targets_train_for_less() -> None:
    suite = get_suite("ffhq")
    iterations = {name: suite.budget(None, name).iterations for name in suite.targets}
    near = {"babies", "sunglasses"}
    assert {iterations[name] for name in near} == {1000}
    assert {iterations[name] for name in iterations.keys() - near} == {5000}


def test_an_alias_and_any_listed_place_are_found(tmp_path: Path) -> None:
    (tmp_path / "processed_data" / "otto_dix").mkdir(parents=True)
    (tmp_path / "_pretrained").mkdir()
    (tmp_path / "_pretrained" / "style_gan_source_ffhq.pt").touch()
    suite = get_suite("ffhq", tmp_path)
    assert suite.source.found == tmp_path / "_pretrained" / "style_gan_source_ffhq.pt"
    assert files(suite, "otto").few_shot.found == tmp_path / "processed_data" / "otto_dix"
    assert files(suite, "raphael").few_shot.found is None


def test_own_targets(tmp_path: Path) -> None:
    suite = read(
        tmp_path,
        OWN + 'source_images = "faces.zip"\nfew_shot = ["few/{target}"]\n'
        '[targets.cats]\ntitle = "cats"\nreal = "real-cats"\naliases = ["chats"]\n'
        'non_target.dogs = "dogs"\nbudgets.paper = { iterations = 7, snapshots = 2 }\n'
        '[targets.manga]\nfew_shot = "/elsewhere/manga"\ngrey_source = false\n',
    )
    cats, manga = files(suite, "cats"), files(suite, "manga")
    assert cats.few_shot.candidates == (
        *(tmp_path / "few" / name for name in ("cats", "chats", "{target}")),
    )
    assert cats.real is not None and cats.real.candidates == (tmp_path / "real-cats",)
    assert cats.real.required
    assert list(cats.rejected) == ["source", "dogs"]
    assert list(manga.rejected) == ["source"] and not manga.grey_source and cats.grey_source
    assert manga.few_shot.path == Path("/elsewhere/manga") and manga.real is None
    assert suite.budget(None, "cats") == Budget(7, 2)
    assert suite.budget(None, "manga") == get_suite("ffhq").budget()
    assert suite.source_title == "" and suite.target("manga").title == "manga"


def test_a_base_gives_its_targets_and_the_file_its_source(tmp_path: Path) -> None:
    text = (
        'name = "mine"\nbase = "ffhq"\nsource = "model.pkl"\ntargets = ["babies", "otto"]\n'
        "[budgets.paper]\niterations = 9\nsnapshots = 3\n"
    )
    suite = read(tmp_path, text, tmp_path / "root")
    assert suite.source.path == tmp_path / "root" / "model.pkl"
    assert suite.budget(None, "babies") == suite.budget(None, "otto") == Budget(9, 3)
    assert files(suite, "babies").few_shot.path == tmp_path / "root" / "ffhq/babies/few-shot"
    assert suite.source_title == "FFHQ faces"


def test_what_suites_said_before_still_holds(tmp_path: Path) -> None:
    text = 'name = "mine"\nsource = "a.pt"\ntargets = ["ink"]\n[recipe]\nbatch = 8\n'
    suite, avatars = read(tmp_path, text), get_suite("avatars")
    assert suite.target("ink") == avatars.target("ink")
    assert isinstance(suite.target("ink").images, AvatarImages)
    assert suite.recipe == dataclasses.replace(avatars.recipe, batch=8)
    assert suite.budget() == avatars.budget("quick") == Budget(160, 4)
    assert suite.source_title == "faces" and suite.lpips_backbone == "lite0"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sorce_images = 'x'\n", "no setting 'sorce_images'"),
        ("sorce_images = 'x'\n", "Did you mean 'source_images'?"),
        ("[targets.cats]\nfewshot = 'x'\n", "Did you mean 'few_shot'?"),
        ("[targets.cats]\ntitle = 'x'\n", "target 'cats', needs few_shot"),
        ("[targets.cats]\nfew_shot = 3\n", "targets, cats, few_shot"),
        ("[targets.Cats]\nfew_shot = 'x'\n", "cannot be a name"),
        ("[targets]\n", "at least 1 item"),
        ("", "has no targets"),
        ("targets = ['babies']\n", "There is no target 'babies' in the suite 'paper'"),
        ("base = 'ffhg'\n", "Did you mean 'ffhq'?"),
        (
            "[targets.a]\nfew_shot = 'x'\nbudgets.paper = {iterations = 0, snapshots = 2}\n",
            "1 to 10,000,000 iterations",
        ),
        ("[targets.a]\nfew_shot = 'x'\nbudgets.paper = {iterations = 5}\n", "snapshots"),
        ("[targets.a]\nfew_shot = 'x'\niterations = 5\n", "write it below [budgets.NAME]"),
        (
            "[targets.a]\nfew_shot = 'x'\nbudgets.papr = {iterations = 5, snapshots = 2}\n",
            "Did you mean 'paper'?",
        ),
        ("source_images = 3\n", "source_images"),
        ("lpips_backbone = 'vggg'\n", "lpips_backbone"),
    ],
)
def test_a_bad_suite_file_is_one_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    own = OWN.replace('base = "paper"\n', "") if "base" in text else OWN
    with pytest.raises(UserError, match=re.escape(sentence)) as caught:
        read(tmp_path, own + text)
    assert "mine.toml" in str(caught.value) or "There is no" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_name_of_a_built_in_suite_is_taken(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'ffhq' is the name of a built-in suite"):
        read(tmp_path, re.sub('name = "[^"]+"', 'name = "ffhq"', OWN, count=1))


def test_a_single_optional_path_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "model.pt").touch()
    (tmp_path / "cats").mkdir()
    for real, missing in (('"gone"', True), ('["gone"]', False)):
        suite = read(tmp_path, OWN + f'[targets.cats]\nfew_shot = "cats"\nreal = {real}\n')
        if missing:
            with pytest.raises(UserError, match=r"lacks its real.* --suite mine\.toml shows"):
                suite.check_files(suite.target("cats"), "mine.toml")
        else:
            suite.check_files(suite.target("cats"), "mine.toml")


def test_the_page_of_suite_files_has_every_key_and_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "suite-file.md").read_text(encoding="utf-8")
    whole, of_targets, _ = page.split("\n## ")
    rows = [line.split(" | ") for line in whole.splitlines() if line.startswith("| `")]
    told = {key: row[1:3] for row in rows for key in re.findall(r"`(\w+)`", row[0])}
    assert told.keys() == _SuiteFile.model_fields.keys()
    assert set(re.findall(r"^\| `(\w+)`", of_targets, re.MULTILINE)) == _Target.model_fields.keys()
    for key, values in told.items():
        for suite, value in zip((AVATARS, PAPER), values, strict=True):
            if value.strip('"`').isdecimal() or value.startswith('`"'):
                assert str(getattr(suite, key)) == value.strip('"`'), key


def test_lists_of_names() -> None:
    settings = CliRunner().invoke(main, ["list", "settings"])
    assert "dcl.lambda1 " in settings.output and "``" not in settings.output
    assert "tensorboard  fsgan-bench" in CliRunner().invoke(main, ["list", "trackers"]).output
    suites = CliRunner().invoke(main, ["list", "suites"])
    assert suites.exit_code == 0, suites.output
    assert all(name in suites.output for name in ("avatars", "ffhq", "lsun-church"))
    targets = CliRunner().invoke(main, ["list", "targets", "--suite", "ffhq"])
    assert targets.exit_code == 0, targets.output
    assert "afhq-wild" in targets.output and "Otto Dix" in targets.output


def test_a_key_of_the_suite_below_a_table_is_told_where_it_belongs(tmp_path: Path) -> None:
    text = 'name = "mine"\nsource = "s.pt"\n[targets.manga]\nfew_shot = "few"\n'
    text += 'source_images = "faces"\n'
    with pytest.raises(UserError, match=r"'source_images', as the whole suite has it: write it"):
        parse_suite(text, tmp_path / "mine.toml")
