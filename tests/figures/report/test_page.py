"""The page in a real browser: it scrubs, hides, sorts, and asks no network for anything."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fsgan_bench.report import page as report
from fsgan_bench.results.reader import load

SNAPSHOTS = [0, 25, 50, 100, 150, 200, 300, 400, 500, 600, 700, 800, 900, 1000]


def test_the_slider_moves_everything(made_page: Path, open_page: Any) -> None:
    opened = open_page(made_page)
    page = opened.page
    assert opened.iteration() == 1000
    tile = page.locator('.row:has-text("CDC") button.tile').first
    at_end = tile.evaluate("tile => tile.style.backgroundPosition")
    assert "blob:" in tile.evaluate("tile => tile.style.backgroundImage")

    box = page.locator("#slider").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] - 10, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=6)
    page.mouse.up()
    assert opened.iteration() in (300, 400)
    page.locator("#slider").press("Home")
    assert opened.iteration() == 0
    for expected in SNAPSHOTS[1:4]:
        page.keyboard.press("ArrowRight")
        assert opened.iteration() == expected
    assert tile.evaluate("tile => tile.style.backgroundPosition") != at_end
    assert "iteration 100" in tile.get_attribute("aria-label")
    assert "At iteration 100: TGAN" in page.get_attribute("#quality-plot", "aria-label")
    assert page.get_attribute("#slider", "aria-valuetext") == "iteration 100 of 1000"
    assert "p_t" in page.inner_text('.row:has-text("CDC") .row-details')

    page.click("#play")
    page.wait_for_selector("#iteration b:not(:text-is('100'))")
    page.click("#play")
    assert opened.iteration() >= 150
    assert page.get_attribute("#play", "aria-label") == "Play"
    plot = page.locator("#quality-plot .u-over").bounding_box()
    page.mouse.click(plot["x"] + plot["width"] * 0.5, plot["y"] + 40)
    assert opened.iteration() in (200, 300)
    assert "TGAN" in page.inner_text("#tip")
    page.reload()
    assert opened.iteration() in (200, 300)


def test_a_method_is_hidden_everywhere(made_page: Path, open_page: Any) -> None:
    page = open_page(made_page).page
    entry = page.locator('#legend button[data-method="CDC"]')
    assert page.locator('#rows .row:has-text("CDC")').count() == 1
    entry.click()
    assert entry.get_attribute("aria-pressed") == "false"
    assert page.locator('#rows .row:has-text("CDC")').count() == 0
    assert page.locator('#table-list table tbody tr:visible:has-text("CDC")').count() == 0
    assert "CDC" not in page.get_attribute("#quality-plot", "aria-label")
    page.select_option("#task", label="sketches")
    assert "CDC" not in page.get_attribute("#diversity-plot", "aria-label")
    page.click("#legend .all")
    assert page.locator('#rows .row:has-text("CDC")').count() == 1


def test_targets_metrics_seeds_and_axis_are_chosen(made_page: Path, open_page: Any) -> None:
    page = open_page(made_page).page
    before = page.get_attribute("#quality-plot", "aria-label")
    page.select_option("#seed", "1")
    assert page.get_attribute("#quality-plot", "aria-label") != before
    page.select_option("#quality", label="Fréchet distance (lite0)")
    assert page.get_attribute("#quality-plot", "aria-label").startswith("Fréchet distance")
    page.select_option("#axis", "linear")
    page.select_option("#task", label="sketches")
    assert page.inner_text("h1") == "faces to sketches (avatars, 10 shots)"
    page.reload()
    assert page.input_value("#seed") == "1" and page.input_value("#axis") == "linear"
    assert page.inner_text("h1") == "faces to sketches (avatars, 10 shots)"


def test_tables_sort_and_keep_their_footnotes(made_page: Path, open_page: Any) -> None:
    page = open_page(made_page).page
    table = page.locator("#table-list table").first
    head = table.locator('th:has-text("Fréchet distance")')

    def column() -> list[str]:
        place = head.evaluate("head => head.cellIndex")
        rows = table.locator("tbody tr.method").all()
        return [row.locator("th, td").nth(place).inner_text() for row in rows]

    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    down = [float(text.split(" ")[0]) for text in column()]
    assert down == sorted(down, reverse=True)
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert [float(text.split(" ")[0]) for text in column()] == down[::-1]
    kinds = table.locator("tbody tr").evaluate_all("rows => rows.map(row => row.className)")
    assert kinds == ["method"] * 3 + ["reference"] * 3
    assert "standard deviation over seeds" in page.inner_text("#table-list .notes >> nth=0")


def test_a_tile_opens_its_noise_along_the_adaptation(made_page: Path, open_page: Any) -> None:
    opened = open_page(made_page)
    page = opened.page
    page.locator("#rows button.tile").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    dialog = page.locator("#latent")
    assert dialog.locator("h2").inner_text() == "Noise 2 at iteration 1,000"
    film = dialog.locator('.in-method:has-text("TGAN")')
    assert film.locator(".film button").count() == len(SNAPSHOTS)
    assert "LPIPS to it" in film.inner_text() and "few-shot" in film.inner_text()
    film.locator(".film button").nth(3).click()
    assert opened.iteration() == 100
    page.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_images_that_are_not_kept_are_said_to_be_missing(
    writer: Any, open_page: Any, tmp_path: Path
) -> None:
    writer.task()
    for at in writer.cell("tgan", snapshots=(0, 25, 50)).glob("grids/*.png"):
        if at.stem != "000050":
            at.unlink()
    page = open_page(report.write_page(load(writer.folder), tmp_path / "one.html")).page
    assert "at most one snapshot a method" in page.inner_text("#grid-notes")
    writer.cell("cdc", snapshots=(0, 25, 50))
    page = open_page(report.write_page(load(writer.folder), tmp_path / "two.html")).page
    assert "some snapshots are not kept" in page.inner_text("#grid-notes")
    page.click('#legend button[data-method="TGAN"]')
    assert "not kept" not in page.inner_text("#grid-notes")


def test_what_went_wrong_is_said(made_page: Path, open_page: Any) -> None:
    page = open_page(made_page).page
    said = page.inner_text("#troubles")
    assert "EWC, seed 0: failed" in said and "out of memory; fewer --jobs need less" in said
    page.click("#troubles summary")
    assert "<b>line</b>" in page.inner_text("#troubles pre")
    assert "BSA, seed 0: unfinished" in said
    assert "BSA, seed 0: 50 of 50" in page.inner_text("#curve-notes")
    chips = page.inner_text("#chips")
    assert "12 cells finished" in chips and "2 cells failed" in chips


@pytest.mark.parametrize("width", [360, 1300])
def test_it_fits_phones_dark_rooms_and_paper(
    made_page: Path, open_page: Any, width: int, tmp_path: Path
) -> None:
    page = open_page(made_page, width=width, height=700, color_scheme="dark").page
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(21, 23, 27)"
    nameless = "button, select, input, a, [role=img], summary"
    names = page.eval_on_selector_all(
        nameless,
        "all => all.map(e => (e.ariaLabel || e.textContent || '').trim() || e.labels?.length)",
    )
    assert len(names) > 100 and all(names)
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(250, 250, 248)"
    assert not page.locator("#slider").is_visible()
    page.pdf(path=str(tmp_path / "report.pdf"))
    assert (tmp_path / "report.pdf").stat().st_size > 10_000


def test_names_from_files_stay_text(writer: Any, open_page: Any, tmp_path: Path) -> None:
    evil = "</script><script>document.title = 'caught'; fetch('https://example.org')</script>"
    writer.task(target_title=evil, source_title="<img src=x onerror=alert(1)>", notes=[evil])
    folder = writer.cell("tgan")
    document = json.loads((folder / "cell.json").read_text())
    document["cell"]["title"] = document["cell"]["paper"] = evil
    document["provenance"]["commit"] = evil
    (folder / "cell.json").write_text(json.dumps(document))
    writer.cell("cdc", status="FAILED", reason=f"{evil}\n\n{evil}")
    card = {"name": evil, "held_out": {"auc": 0.9, evil: evil}}
    (writer.folder / "classifier.json").write_text(json.dumps(card))
    page = open_page(report.write_page(load(writer.folder), tmp_path / "report.html")).page
    assert page.title() == f"{evil}: few-shot adaptation"
    assert page.locator("script").count() == 4 + len(list(writer.folder.rglob("strips/*.png")))
    assert page.locator("img").count() == 0
    assert "</script><script>" in page.inner_text("h1")
    assert "</script><script>" in page.inner_text("#troubles")
    page.locator("#rows button.tile").first.click()
    assert "</script><script>" in page.inner_text("#latent")


def test_images_from_elsewhere_have_no_noise_and_one_score_at_every_iteration(
    writer: Any, open_page: Any, tmp_path: Path
) -> None:
    writer.task()
    writer.cell("tgan")
    folder = writer.cell("mine", snapshots=(0,))
    document = json.loads((folder / "cell.json").read_text())
    document["cell"]["imported"] = {"kind": "images", "files": {"mine": "0" * 64}, "count": 40}
    (folder / "cell.json").write_text(json.dumps(document))
    page = open_page(report.write_page(load(writer.folder), tmp_path / "report.html")).page
    row = page.locator("#rows .row", has_text="mine (elsewhere)")
    text = row.inner_text()
    assert "not noise-aligned" in text and "p_t 0." in text
    assert row.locator("button.tile").count() == 0
    page.locator("#rows button.tile").first.click()
    assert "mine" not in page.inner_text("#latent")
    assert "TGAN" in page.inner_text("#latent")


def test_a_seed_that_is_going_does_not_end_the_mean_of_the_others(
    writer: Any, open_page: Any, tmp_path: Path
) -> None:
    writer.task()
    for seed in (0, 1):
        writer.cell("tgan", seed, snapshots=(0, 25, 50))
    folder = writer.cell("tgan", 2, status="", snapshots=(0, 25, 50))
    first = [line for line in (folder / "scores.jsonl").read_text().splitlines() if '": 0,' in line]
    (folder / "scores.jsonl").write_text("\n".join(first) + "\n")
    page = open_page(report.write_page(load(writer.folder), tmp_path / "one.html")).page
    (curve,) = page.evaluate(
        "page.tasks[0].variants.map((v) => page.tasks[0].curves[v.key].realisticness_lite0.mean.x)"
    )
    assert curve == [0, 25, 50]
    assert "Means over 2 seeds" in page.inner_text("#curve-notes")
    assert page.locator("#seed option").first.inner_text() == "mean of 2"


def test_a_link_to_a_section_keeps_the_address(made_page: Path, open_page: Any) -> None:
    page = open_page(made_page).page
    before = page.evaluate("location.hash")
    assert "task=" in before
    page.click('nav.sections a[href="#tables"]')
    assert page.evaluate("location.hash") == before
    page.wait_for_function("document.getElementById('tables').getBoundingClientRect().top < 900")
