"""The verdict on made-up runs whose truth is known."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from fsgan_bench.analysis.claims import Verdict
from fsgan_bench.analysis.document import to_json
from fsgan_bench.analysis.findings import Answer
from fsgan_bench.analysis.trajectories import estimate, trajectories
from fsgan_bench.analysis.verdict import verdict, verdict_page, write_verdict
from fsgan_bench.cli.main import main
from fsgan_bench.errors import UserError
from fsgan_bench.metrics.per_image import ProbeValues
from fsgan_bench.results import curves
from fsgan_bench.results.reader import load
from fsgan_bench.results.resampling import draws
from fsgan_bench.results.scales import metric_scales
from fsgan_bench.tables.scores import tables

SOURCE, REAL, START = 0.747, 0.502, 0.06
"""Intra-LPIPS of the source and of real images, and the source's p_t, of the writer's task."""

METHODS = ("alder", "birch", "cedar", "elder")
SIX = (*METHODS, "fir", "maple")
Scores = Callable[[str, int, int], dict[str, float]]


def shaped(
    final: Mapping[str, float] | float = 0.9,
    end: Mapping[str, float] | float = 0.3,
    half: Mapping[str, float] | float = 60.0,
    wobble: float = 0.002,
) -> Scores:
    """Curves that rise to ``final`` and lose diversity until ``end``, half way at ``half``."""

    def of(value: Mapping[str, float] | float, method: str) -> float:
        return value[method] if isinstance(value, Mapping) else value

    def scores(method: str, iteration: int, seed: int) -> dict[str, float]:
        generator = np.random.default_rng([seed, iteration, SIX.index(method)])
        noise = wobble * generator.normal(size=2) * (iteration > 0)
        rise = iteration**4 / (iteration**4 + of(half, method) ** 4)
        return {
            "realisticness": START + (of(final, method) - START) * rise + noise[0],
            "intra_lpips": SOURCE + (of(end, method) - SOURCE) * rise + noise[1],
        }

    return scores


def probe_files(folder: Path, scores: Scores, method: str, seed: int) -> None:
    """Per-image values around the scores, with what the latents have in common."""
    latents = np.random.default_rng(7).normal(size=(2, 400))
    for file in (folder / "grids").glob("*.png"):
        found = scores(method, int(file.stem), seed)
        values = {
            metric: np.float16(found[metric] + 0.1 * (z - z.mean()))
            for metric, z in zip(("realisticness", "intra_lpips"), latents, strict=True)
        }
        cluster = np.int16(np.arange(400) % 8)
        probe = ProbeValues(cluster, values, dict.fromkeys(values, "1"))
        probe.save(folder / "probe" / f"{file.stem}.npz")


def judged(
    writer: Any,
    scores: Scores,
    seeds: int = 3,
    methods: tuple[str, ...] = METHODS,
    probe: bool = True,
) -> Verdict:
    writer.task()
    for method in methods:
        for seed in range(seeds):
            folder = writer.cell(method, seed=seed, scores=scores)
            if probe:
                probe_files(folder, scores, method, seed)
    return verdict(load(writer.folder))


def answers(result: Verdict) -> list[list[Answer]]:
    return [[claim.answer for claim in each.claims] for each in result.observations]


DECAYING = {m: 0.12 + 0.07 * k for k, m in enumerate(SIX)}
SLOWING = {m: 40.0 + 44.0 * k for k, m in enumerate(SIX)}


def test_both_observations_hold_where_they_were_put(writer: Any) -> None:
    result = judged(writer, shaped(end=DECAYING, half=SLOWING), methods=SIX)
    similar, slower = answers(result)[0]
    assert (similar, slower) == ("supported", "supported")
    differ, matched, better, stable = answers(result)[1]
    assert differ == "supported" and stable == "supported" and matched == "supported"
    assert better == "supported"
    assert [each.answer for each in result.observations] == ["supported", "supported"]
    (each,) = result.comparisons
    assert [m.final.value for m in each.methods] == pytest.approx([0.9] * 6, abs=0.03)
    reached = [m.reached.value for m in each.methods]
    assert reached == sorted(reached) and (reached[0], reached[-1]) == (100, 500)
    lost = [m.lost.value for m in each.methods]
    assert lost == sorted(lost, reverse=True)


def test_a_method_that_converges_lower_contradicts(writer: Any) -> None:
    finals = {"alder": 0.9, "birch": 0.9, "cedar": 0.9, "elder": 0.7}
    result = judged(writer, shaped(final=finals))
    assert answers(result)[0][0] == "not supported"
    assert result.observations[0].answer == "not supported"
    found = re.search(r"alder and elder differ by (0\.\d+)", verdict_page(result))
    assert found and float(found[1]) == pytest.approx(0.2, abs=0.01)


def test_what_has_not_converged_leaves_it_undecided(writer: Any) -> None:
    result = judged(writer, shaped(half=dict.fromkeys(METHODS, 50.0) | {"birch": 900.0}))
    finding = result.observations[0].claims[0].findings[0]
    assert finding.answer == "undecided"
    assert finding.why == "not shown to have converged: birch"


def test_equal_decays_contradict_the_second_observation(writer: Any) -> None:
    result = judged(writer, shaped(end=0.05))
    assert answers(result)[1][:2] == ["not supported", "not supported"]


def test_noisy_seeds_decide_nothing(writer: Any) -> None:
    result = judged(
        writer, shaped(end=dict.fromkeys(METHODS, 0.3) | {"elder": 0.24}, wobble=0.04), seeds=2
    )
    assert answers(result)[1][0] == "undecided"


def test_one_seed_decides_nothing_and_says_so(writer: Any) -> None:
    result = judged(writer, shaped(end=DECAYING, half=SLOWING), seeds=1)
    assert {j for each in answers(result) for j in each} == {"undecided"}
    text = verdict_page(result)
    assert "fewer than 2 seeds of alder" in text and "not how trainings differ" in text
    assert all(m.lost.spread.stderr > 0 for m in result.comparisons[0].methods)


def test_without_probe_files_the_seeds_speak_alone(writer: Any) -> None:
    result = judged(writer, shaped(end=DECAYING, half=SLOWING), probe=False)
    (each,) = result.comparisons
    assert not any(m.resampled for m in each.methods)
    assert answers(result)[0][0] == "supported"
    assert "no per-image values" in " ".join(result.notes)
    by_seed = each.methods[0].final.values
    assert each.methods[0].final.spread.stderr == pytest.approx(by_seed.std(ddof=1) / 3**0.5)


def test_pairing_takes_out_what_the_latents_share(writer: Any) -> None:
    result = judged(writer, shaped())
    finding = result.observations[0].claims[0].findings[0]
    method = result.comparisons[0].methods[0]
    assert method.final.spread.stderr > 0.004
    assert all(test.difference.stderr < 0.003 for test in finding.pairs)


def test_diversity_above_real_images_wins_nothing(writer: Any) -> None:
    ends = {"alder": 0.74, "birch": 0.74, "cedar": 0.3, "elder": 0.2}
    start_low = shaped(end=ends, half=60.0)
    result = judged(writer, start_low)
    (each,) = result.comparisons
    above = {m.label for m in each.methods if each.above_real(m.when_reached)}
    assert above == {"alder", "birch"}
    finals = {m.label: m.when_reached for m in each.methods}
    assert each.best(finals) == {"cedar"}
    document = to_json(result)
    at_90 = {
        m["label"]: m["diversity_at_90"]["above_real"] for m in document["tasks"][0]["methods"]
    }
    assert at_90 == {"alder": True, "birch": True, "cedar": False, "elder": False}
    matched = [m.matched.value for m in each.methods]
    assert matched[0] == matched[1] == pytest.approx(REAL / SOURCE)


def test_several_tasks_are_judged_together(tmp_path: Path, writer: Any) -> None:
    other = type(writer)(tmp_path / "runs", "ink")
    for each, scores in ((writer, shaped(end=DECAYING)), (other, shaped(end=DECAYING, final=0.8))):
        each.task()
        for method in METHODS:
            for seed in range(2):
                each.cell(method, seed=seed, scores=scores)
    result = verdict(load(tmp_path / "runs"))
    assert len(result.comparisons) == 2
    assert "2 tasks together" in verdict_page(result)
    stable = result.observations[1].claims[3].findings[0]
    assert "over 4 rankings of 4 methods" in stable.why
    paths = write_verdict(result)
    assert paths[0] == tmp_path / "runs" / "avatars" / "figures" / "verdict.md"


def test_the_command_writes_beside_the_figures(writer: Any) -> None:
    judged(writer, shaped(end=DECAYING))
    shown = CliRunner().invoke(main, ["verdict", str(writer.folder)])
    assert shown.exit_code == 0, shown.output
    assert "Observation 1: " in shown.output and "Observation 2: " in shown.output
    document = json.loads((writer.folder / "figures" / "verdict.json").read_text())
    assert document["thresholds"]["margin"] == 0.05
    assert len(document["observations"][0]["claims"][0]["findings"][0]["pairs"]) == 6
    printed = CliRunner().invoke(main, ["verdict", str(writer.folder), "--json", "--margin", "0.1"])
    assert json.loads(printed.output)["thresholds"]["margin"] == 0.1
    page = (writer.folder / "figures" / "verdict.md").read_text()
    assert page.startswith("# Verdict\n") and re.search(
        r"\| alder \| yes \| 3 \| 0\.\d+ ± 0\.\d+ \|", page
    )


def test_nothing_to_judge_is_one_sentence(writer: Any, tmp_path: Path) -> None:
    missing = CliRunner().invoke(main, ["verdict", str(tmp_path / "nowhere")])
    assert missing.exit_code == 2 and "does not exist" in missing.output
    writer.task(references=())
    writer.cell("alder", scores=shaped())
    with pytest.raises(UserError, match="the source's intra-LPIPS is not known"):
        verdict(load(writer.folder))


def test_loads_no_torch_and_draws_the_same_numbers_again(writer: Any) -> None:
    result = judged(writer, shaped(), seeds=2, methods=METHODS[:2])
    program = (
        "import sys; from fsgan_bench.cli.main import main\n"
        f"main(['verdict', {str(writer.folder)!r}, '--json'], standalone_mode=False)\n"
        "assert 'torch' not in sys.modules"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert json.loads(process.stdout) == to_json(result)


def test_tables_tell_ties_by_pairs_where_the_images_values_are_stored(writer: Any) -> None:
    """Methods a little apart: the latents' own spread hides it, in pairs it shows."""
    finals = {"alder": 0.900, "birch": 0.902, "cedar": 0.903, "elder": 0.905}
    judged(writer, shaped(final=finals, wobble=0.0), seeds=1)
    (table,) = tables(load(writer.folder)[0])
    quality = table.columns[0].key
    best = [row.name for row in table.rows if row.seeds and row.entries[quality].best]
    assert best == ["elder"]
    assert "paired over the probe batch" in " ".join(table.notes)
    assert "of the one seed, by bootstrap over the probe batch where" in table.notes[0]
    for file in writer.folder.rglob("*.npz"):
        file.unlink()
    draws.cache_clear()
    (table,) = tables(load(writer.folder)[0])
    best = [row.name for row in table.rows if row.seeds and row.entries[quality].best]
    assert best == ["alder", "birch", "cedar", "elder"]


def test_bands_are_the_probe_batchs_with_one_seed_and_the_seeds_with_several(writer: Any) -> None:
    judged(writer, shaped(), seeds=1, methods=METHODS[:1])
    results = load(writer.folder)[0]
    (variant,) = curves.variants(results)
    (scale,) = metric_scales(results, "intra_lpips")
    curve = curves.mean_curve(curves.seed_curves(results, variant, scale))
    assert curve is not None and curve.draws is not None
    assert curve.spread == pytest.approx(curve.draws.std(axis=0, ddof=1))
    assert curve.spread == pytest.approx(2 * 0.1 / 400**0.5, rel=0.15)


LATE = {**dict.fromkeys(SIX, 0.9), "elder": 0.12}


def test_a_method_that_has_hardly_begun_leaves_the_others_to_be_told_apart(writer: Any) -> None:
    """Pairs are compared over what both pass through; an order needs what all pass through."""
    result = judged(writer, shaped(end=DECAYING, final=LATE))
    _, matched, better, stable = result.observations[1].claims
    assert (matched.answer, better.answer, stable.answer) == ("supported", *["undecided"] * 2)
    (finding,) = matched.findings
    assert {label for test in finding.pairs for label in (test.first, test.second)} == {
        *("alder", "birch", "cedar")
    }
    for test in finding.pairs:
        assert test.over is not None and test.over[0] < 0.1 and test.over[1] > 0.85
    assert re.search(r"differ by 0\.\d+ over p_t 0\.0\d to 0\.\d\d \(p ", finding.why)
    document = to_json(result)
    assert document["tasks"][0]["shared_realisticness"][1] < 0.16
    (told,) = document["observations"][1]["claims"][1]["findings"]
    assert tuple(told["pairs"][0]["over_realisticness"]) == finding.pairs[0].over


def test_pairs_that_share_hardly_any_realisticness_are_not_the_same(writer: Any) -> None:
    result = judged(writer, shaped(final=LATE, wobble=0.0))
    (finding,) = result.observations[1].claims[1].findings
    assert finding.answer == "undecided" and all(test.within < 0.05 for test in finding.pairs)
    assert finding.why.startswith("3 of 6 pairs pass through less than 0.1 of p_t together")


def test_what_carries_an_order_and_what_still_changes_is_said(writer: Any) -> None:
    still = {**SLOWING, "maple": 900.0}
    page = verdict_page(judged(writer, shaped(end=DECAYING, half=still), methods=SIX))
    assert re.search(r"two-sided p 0\.\d+, and 0\.\d+ without \w+", page)
    assert re.search(r"\| maple \| no \|.* ± \d+ † \|", page)
    assert not re.search(r"\| alder \| yes \|.*†", page)


def test_of_several_roots_it_goes_where_it_is_told(writer: Any, tmp_path: Path) -> None:
    """Not into the folder that happens to hold them, which may be anybody's."""
    judged(writer, shaped(), seeds=1, methods=METHODS[:2])
    root = writer.folder.parent.parent
    other = Path(shutil.copytree(root, tmp_path / "elsewhere" / "other"))
    moved = other / writer.folder.parent.name
    (moved / writer.folder.name).rename(moved / "ink-10shot")
    task = json.loads((moved / "ink-10shot" / "task.json").read_text())
    (moved / "ink-10shot" / "task.json").write_text(json.dumps(task | {"target": "ink"}))
    runner = CliRunner()
    refused = runner.invoke(main, ["verdict", str(root), str(other)])
    assert refused.exit_code == 2 and "name a folder with --out" in refused.output
    said = runner.invoke(main, ["verdict", str(root), str(other), "--out", str(tmp_path / "here")])
    assert said.exit_code == 0 and (tmp_path / "here" / "verdict.md").exists(), said.output


def test_trajectories_are_of_what_both_scales_have_relative_to_the_source(writer: Any) -> None:
    writer.task()
    folder = writer.cell("alder", scores=shaped())
    probe_files(folder, shaped(), "alder", 0)
    lines = [json.loads(line) for line in (folder / "scores.jsonl").read_text().splitlines()]
    gone = sorted({line["iteration"] for line in lines})[1]
    kept = [x for x in lines if (x["metric"], x["iteration"]) != ("realisticness", gone)]
    (folder / "scores.jsonl").write_text("".join(json.dumps(line) + "\n" for line in kept))
    (results,) = load(writer.folder)
    (variant,) = curves.variants(results)
    quality, diversity = (metric_scales(results, m)[0] for m in ("realisticness", "intra_lpips"))
    (found,) = trajectories(results, variant, quality, diversity, SOURCE)
    assert gone not in found.iterations
    expected = [shaped()("alder", int(at), 0) for at in found.iterations]
    assert found.quality == pytest.approx([each["realisticness"] for each in expected])
    relative = np.array([each["intra_lpips"] for each in expected]) / SOURCE
    assert found.diversity == pytest.approx(relative)
    assert found.diversity_draws is not None
    assert found.diversity_draws.mean(axis=0) == pytest.approx(relative, abs=0.01)
    lacking = replace(found, quality_draws=None)
    loss = estimate([found, lacking], lambda _, quality, diversity: diversity[..., -1])
    assert loss.draws is None and len(loss.values) == 2
