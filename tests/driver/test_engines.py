"""Engines without a cluster: profiles, what SLURM says, and GPUs."""

from __future__ import annotations

import importlib.util
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch

from fsgan_bench.driver.executors import local
from fsgan_bench.driver.executors.engines import open_executor
from fsgan_bench.driver.executors.placement import Pack, Preparation
from fsgan_bench.driver.executors.profile import find_profile, read_profile, to_bytes, to_minutes
from fsgan_bench.driver.executors.slurm import SlurmProfile
from fsgan_bench.driver.executors.slurm_node import PREPARING_RESTARTS, WARNING, OnNode
from fsgan_bench.driver.executors.slurm_states import States
from fsgan_bench.driver.executors.submissions import Submission, read_submissions
from fsgan_bench.driver.task import TaskRequest
from fsgan_bench.driver.worker import Job
from fsgan_bench.errors import UserError
from fsgan_bench.system.gpus import Gpu, GpuShare, visible_gpus

from .scripted import job


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('partitoin = "gpu"', "has no setting 'partitoin'; .* Did you mean 'partition'"),
        ("cpus = 0", "cpus: must be at least 1, not 0"),
        ('memory = "much"', "memory: 'much' is not an amount of memory such as \"16 GB\""),
        ('time = "0:00"', "time: no time is left to a job of 0 minutes"),
        ("time = [", "cannot be read"),
        ('setup = ["a\\nb"]', "setup, 0: String should match"),
        ('time = "0:02:00"', "a job of 0:02:00 that is told to save 120 s before .* no time"),
    ],
)
def test_a_wrong_profile_is_one_sentence(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(line)
    with pytest.raises(UserError, match=message):
        read_profile(path, SlurmProfile)


def test_profiles_are_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FSGAN_BENCH_PROFILES", str(tmp_path))
    (tmp_path / "my-cluster.toml").write_text("cpus = 3")
    assert read_profile(find_profile("my-cluster"), SlurmProfile).cpus == 3
    with pytest.raises(UserError, match="Did you mean 'my-cluster'"):
        find_profile("my-clutser")


def test_amounts_of_memory_and_time() -> None:
    assert to_bytes("1.5 GB") == 1_500_000_000 and to_bytes("500m") == 500_000_000
    assert to_minutes("4:00:00") == 240 and to_minutes("1-00:30") == 1470
    assert to_minutes("0:00:01") == 1


def test_engines_have_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no executor 'slrum'.* Did you mean 'slurm'"):
        open_executor("slrum", root=tmp_path)
    with pytest.raises(UserError, match="are for engines of other hosts"):
        open_executor("local", root=tmp_path, pack=2)


ANSWERS = {
    "1_0|OUT_OF_MEMORY|OutOfMemory|n1|run": ("out of memory", False),
    "1_0|NODE_FAIL|NodeDown|n2|run": ("its node failed (n2)", True),
    "1_0|TIMEOUT|TimeLimit|n1|run": ("its job reached its time limit", True),
    "1_0|CANCELLED|None|n1|run": ("its job was cancelled (scancel)", False),
    "1_0|CANCELLED|DependencyNeverSatisfied||run": ("its task could not be prepared", True),
    "1_0|PREEMPTED|None|n1|run": ("its job was preempted and not requeued", True),
    "1_0|FAILED|NonZeroExitCode|n1|run": ("its job failed; it left no log", True),
    "2|RUNNING|None|n1|run": ("SLURM knows its job no more", True),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_ends_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    say(tmp_path, monkeypatch, squeue=answer)
    states = States(10, back_seconds=0)
    states.watch("1_0", "run")
    phase = states.phase("1_0", tmp_path)
    reason, again = ANSWERS[answer]
    assert phase.ended and phase.reason.startswith(reason) and phase.again is again


def test_memory_that_is_sampled_is_named_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    say(tmp_path, monkeypatch, squeue="1_0|FAILED|NonZeroExitCode|n1|run")
    states = States(10)
    states.watch("1_0", "run")
    log = tmp_path / "1_0_0_log.out"
    log.write_text("Loading pickle\nsrun: error: n1: task 0: Killed\n")
    phase = states.phase("1_0", tmp_path)
    assert phase.reason.endswith("ends: srun: error: n1: task 0: Killed") and phase.again
    log.write_text(
        "slurmstepd-n1: error: StepId=24.0 exceeded memory limit (1684807680 > 1572864000), being "
        "killed\nsrun: error: n1: task 0: Killed\n"
    )
    phase = states.phase("1_0", tmp_path)
    assert phase.reason.startswith("out of memory") and not phase.again


def test_jobs_that_wait_and_a_controller_that_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = States(0, back_seconds=0.3)
    states.watch("1_0", "run")
    say(tmp_path, monkeypatch, squeue="1_0|PENDING|Priority||run")
    assert not states.phase("1_0", tmp_path).ended
    say(tmp_path, monkeypatch, squeue="1_0|PENDING|JobHeldUser||run")
    assert "scontrol release 1_0" in states.phase("1_0", tmp_path).reason
    (tmp_path / "squeue").write_text("#!/bin/sh\necho down >&2\nexit 1\n")
    still = states.phase("1_0", tmp_path)
    assert not still.ended, "the last answer stands"
    say(tmp_path, monkeypatch, squeue="", sacct="1_0|NODE_FAIL|n1|run")
    assert not states.phase("1_0", tmp_path).ended, "SLURM may requeue it in a moment"
    time.sleep(0.3)
    assert states.phase("1_0", tmp_path).reason == "its node failed (n1)"


def say(folder: Path, patch: pytest.MonkeyPatch, **answers: str) -> None:
    """Put commands of SLURM that give these answers on the path."""
    for command, answer in ({"sacct": ""} | answers).items():
        (folder / command).write_text(f"#!/bin/sh\necho '{answer}'\n")
        (folder / command).chmod(0o755)
    patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_zero_is_a_value_of_an_option(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("options = { mem = 0, nice = 0, exclusive = true, requeue = false }")
    executor = open_executor(f"slurm:{path}", root=tmp_path)
    (_, line) = executor.describe([], [Pack((job("a", tmp_path),))])
    assert line.endswith(" --mem=0 --nice=0 --exclusive")


@pytest.mark.parametrize("logs", [False, True])
def test_a_submission_is_remembered_until_its_last_job_is_over(tmp_path: Path, logs: bool) -> None:
    mine = Submission.begin(tmp_path, "slurm")
    mine.add({"1_0": (tmp_path / "suite" / "a",), "1_1": (tmp_path / "suite" / "b",)})
    (found,) = read_submissions(tmp_path, "slurm")
    assert found.jobs == {"1_0": ["suite/a"], "1_1": ["suite/b"]}
    assert not list(read_submissions(tmp_path, "ray"))
    mine.add({"2": (tmp_path / "suite" / "c",)})
    for number in ("1_0", "1_1", "2"):
        found.log(number).write_text("words")
    (mine.folder / "1_submitted.pkl").write_bytes(b"")
    found.remove("1_0", keep_log=False)
    assert found.jobs.keys() == {"1_1", "2"}, "what another run added stays"
    found.remove("1_1", keep_log=logs)
    found.remove("2", keep_log=False)
    assert sorted(mine.folder.glob("*")) == ([found.log("1_1")] if logs else [])
    assert mine.folder.exists() == logs
    assert not list(read_submissions(tmp_path))


@pytest.fixture
def two_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with two GPUs, as far as torch is asked."""
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    named = {0: SimpleNamespace(uuid="aa"), 1: SimpleNamespace(uuid="bb")}
    monkeypatch.setattr(torch.cuda, "get_device_properties", named.__getitem__)
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")


def test_no_two_runs_meet_on_a_gpu(two_gpus: None) -> None:
    assert visible_gpus("cuda") == [Gpu("4", "aa"), Gpu("7", "bb")]
    assert visible_gpus("cuda:1") == [Gpu("7", "bb")]
    ours, theirs = GpuShare(visible_gpus("cuda"), 2), GpuShare(visible_gpus("cuda:1"))
    assert ours.room() == 4
    assert theirs.room() == 0 and "GPU 7" in theirs.taken_by
    assert [ours.start().name for _ in range(4)] == ["4", "7", "4", "7"]
    ours.end(Gpu("7", "bb"))
    ours.release()
    assert theirs.room() == 0, "one cell is left on it"
    ours.end(Gpu("7", "bb"))
    ours.release()
    assert theirs.room() == 1
    theirs.close()
    ours.close()


def test_each_cell_has_a_gpu_of_its_own(
    two_gpus: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str | None] = []

    class Worker:
        def __init__(self, job: Job, timeout: float | None, gpu: Gpu | None) -> None:
            seen.append(gpu.name if gpu else None)

    monkeypatch.setattr(local, "_Worker", Worker)
    executor = open_executor("local", root=tmp_path, device="cuda")
    assert executor.slots == executor.room() == 2
    executor.submit([Pack((job("a", tmp_path), job("b", tmp_path)))])
    assert seen == ["4", "7"] and executor.room() == 0


@pytest.fixture(scope="module")
def simulator() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "throughput" / "simulate.py"
    spec = importlib.util.spec_from_file_location("simulate", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["simulate"] = module
    spec.loader.exec_module(module)
    return module


def test_the_simulator_keeps_its_books(simulator: ModuleType) -> None:
    never = float("inf")
    world = simulator.World(start=10, dispatch=0, preparing=100, state=0, failure_hours=never)
    cells = [simulator.Cell(0, 1000.0) for _ in range(4)]
    one = simulator.simulate(cells, 1, world)
    assert one.makespan == pytest.approx(110 + 4 * 1010)
    assert simulator.simulate(cells, 4, world).makespan == pytest.approx(110 + 1010)
    assert one.spent["idle or away"] == pytest.approx(0)
    short = simulator.simulate(cells[:1], 1, replace(world, time_limit=510))
    assert short.events["time limit"] == 1
    assert short.makespan == pytest.approx(110 + 1020 + world.requeue)
    study = simulator.study()
    assert len(study) == 450 and sum(c.seconds for c in study) == pytest.approx(900 * 3600)


def test_the_page_of_benchmarks_shows_what_the_simulator_says(simulator: ModuleType) -> None:
    page = Path(__file__).parents[2] / "benchmarks" / "README.md"
    cells, gpus = simulator.study(), (64, 512)
    for name in ("as assumed", "one job prepares all tasks"):
        outcomes = [
            simulator.simulate(cells, n, simulator.WORLDS[name], s) for n in gpus for s in range(5)
        ]
        hours = [sum(o.makespan for o in part) / 5 / 3600 for part in (outcomes[:5], outcomes[5:])]
        assert f" | {hours[0]:.1f} h | {hours[1]:.1f} h |" in page.read_text(encoding="utf-8")


def test_a_ray_that_does_not_start_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_: object) -> None:
        raise Exception("The current node timed out during startup.")

    ray = ModuleType("ray")
    ray.__spec__ = importlib.util.spec_from_loader("ray", None)
    monkeypatch.setitem(sys.modules, "ray", ray)
    monkeypatch.setattr(ray, "init", init, raising=False)
    with pytest.raises(UserError, match=r"Ray on this machine does not answer: .* timed out"):
        open_executor("ray", root=tmp_path).submit([Pack((job("a", tmp_path),))])


@pytest.mark.parametrize("restarts", [PREPARING_RESTARTS - 1, PREPARING_RESTARTS])
def test_a_task_that_no_job_has_time_for_is_not_requeued_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restarts: int
) -> None:
    say(tmp_path, monkeypatch, scontrol="")
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SLURM_RESTART_COUNT", str(restarts))
    warn = lambda self: os.kill(os.getpid(), WARNING)  # noqa: E731
    monkeypatch.setattr(Preparation, "carry_out", warn)
    folder = tmp_path / "ink-10shot"
    folder.mkdir()
    with pytest.raises(SystemExit) as ended:
        OnNode(Preparation(TaskRequest("suite", "ink", 10, tmp_path), folder, 1))()
    assert ended.value.code == (restarts == PREPARING_RESTARTS)
    failed = folder / "FAILED"
    assert failed.exists() == (restarts == PREPARING_RESTARTS)
    assert not failed.exists() or "give the profile more time" in failed.read_text()
