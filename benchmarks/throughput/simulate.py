"""What a study takes on a cluster: cells, hosts, failures and preemptions, event by event.

``python benchmarks/throughput/simulate.py`` prints the tables of ``benchmarks/README.md`` and draws
``benchmarks/throughput/throughput.png``. How long cells take relative to each other is recorded
(``recorded.json``: seconds of CPU cells of earlier reference results by method); what a cluster is
like is assumed, in :class:`World`.
"""

from __future__ import annotations

import heapq
import json
import random
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

HERE = Path(__file__).parent
RECORDED = HERE / "recorded.json"

HOUR = 3600.0


@dataclass(frozen=True)
class World:
    """A cluster and what is stored on it; seconds, bytes.

    Attributes:
        start: from a job's start to its cell's first iteration: interpreter, networks, images.
        dispatch: between the starts of two jobs, which a controller makes one after another.
        preparing: of one task's shared preparation.
        separate: whether each task is prepared by a job of its own; else one job prepares all.
        time_limit: of a job; a longer cell is requeued.
        requeue: until a requeued job starts again, if a GPU is free.
        failure_hours: GPU hours between failures of a GPU's node.
        repair: how long a failed node is away.
        lease: how long a lost node's lock counts, on file systems that don't release it.
        preemption_hours: GPU hours between preemptions of a GPU's job; infinite for none.
        preempted: how long the preempting job keeps the GPU.
        save_every: between two saved states.
        save_share: a cell waits this many times as long as saving took, if that is more.
        state: bytes of a saved state.
        client, server: bytes a second that one host writes at most, and all together.
        operations: on files that a running cell asks for each second: 0.4 itself (strace: a
            heartbeat every 10 s, 17 calls for a saved state and its log) and 0.5 by the run that
            looks at it every 10 s.
        server_operations: that the file server carries out each second.
    """

    start: float = 60.0
    dispatch: float = 0.1
    preparing: float = 600.0
    separate: bool = True
    time_limit: float = 4 * HOUR
    requeue: float = 120.0
    failure_hours: float = 2000.0
    repair: float = 1 * HOUR
    lease: float = 120.0
    preemption_hours: float = float("inf")
    preempted: float = 1 * HOUR
    save_every: float = 60.0
    save_share: float = 20.0
    state: float = 0.83e9
    client: float = 0.5e9
    server: float = 1e9
    operations: float = 0.9
    server_operations: float = 1000.0

    def saving(self, running: int) -> float:
        """Share of a cell's time that goes into saving its state while ``running`` cells save."""
        alone = self.state / self.client
        wait = max(self.save_every, self.save_share * alone)
        if running * self.state / (wait + alone) <= self.server:
            return alone / (wait + alone)
        # The server is the limit: a save takes as long as its share of the server allows.
        cycle = running * self.state / self.server
        if self.save_share:
            return min(1 - wait / cycle, 1 / (1 + self.save_share))
        return 1 - wait / cycle


@dataclass(frozen=True)
class Cell:
    """A cell of task ``task`` that trains and scores for ``seconds`` on a GPU of its own."""

    task: int
    seconds: float


@dataclass
class Outcome:
    """What a study took: ``makespan`` in seconds, and GPU seconds by what they went into."""

    makespan: float = 0.0
    spent: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    events: Counter[str] = field(default_factory=Counter)


def study(targets: int = 10, methods: int = 9, seeds: int = 5, hours: float = 2.0) -> list[Cell]:
    """A study whose cells last as the recorded ones do, scaled to a mean of ``hours``.

    Methods that are not among the recorded ones last as long as cells of any of these.
    """
    recorded: dict[str, list[float]] = json.loads(RECORDED.read_text(encoding="utf-8"))
    every = [seconds for values in recorded.values() for seconds in values]
    kinds = [*recorded.values(), *[every] * methods][:methods]
    draw = random.Random(0)
    drawn = [
        (target, draw.choice(kind))
        for target in range(targets)
        for kind in kinds
        for _ in range(seeds)
    ]
    scale = hours * HOUR * len(drawn) / sum(seconds for _, seconds in drawn)
    return [Cell(target, seconds * scale) for target, seconds in drawn]


def simulate(cells: Sequence[Cell], gpus: int, world: World, seed: int = 0) -> Outcome:
    """Place cells on GPUs, first come first served, until all are done."""
    draw = random.Random(seed)
    outcome = Outcome()
    slowdown = 1 / (1 - world.saving(min(gpus, len(cells))))
    free = [(0.0, gpu) for gpu in range(gpus)]
    heapq.heapify(free)
    tasks = sorted({cell.task for cell in cells})
    prepared = _prepare(tasks, free, world, outcome)
    ready = [(prepared[cell.task], i, cell.seconds * slowdown) for i, cell in enumerate(cells)]
    heapq.heapify(ready)
    outcome.spent["saving states"] += sum(cell.seconds for cell in cells) * (slowdown - 1)
    dispatched = 0.0
    while ready:
        could, number, left = heapq.heappop(ready)
        at, gpu = heapq.heappop(free)
        began = max(could, at, dispatched)
        dispatched = began + world.dispatch
        ends = {
            "failure": draw.expovariate(1.0) * world.failure_hours * HOUR,
            "preemption": draw.expovariate(1.0) * world.preemption_hours * HOUR,
            "time limit": world.time_limit,
        }
        why = min(ends, key=lambda each: ends[each])
        whole = world.start + left
        if whole <= ends[why]:
            outcome.spent["starting"] += world.start
            outcome.makespan = max(outcome.makespan, began + whole)
            heapq.heappush(free, (began + whole, gpu))
            continue
        outcome.events[why] += 1
        worked = max(0.0, ends[why] - world.start)
        lost = min(worked, draw.uniform(0, world.save_every)) if why == "failure" else 0.0
        away = {"failure": world.repair, "preemption": world.preempted}.get(why, 0.0)
        again = world.requeue + (world.lease if why == "failure" else 0.0)
        outcome.spent["starting"] += min(world.start, ends[why])
        outcome.spent["lost work"] += lost
        end = began + ends[why]
        heapq.heappush(free, (end + away, gpu))
        heapq.heappush(ready, (end + again, number, left - worked + lost))
    outcome.spent["cells"] = sum(cell.seconds for cell in cells)
    whole = outcome.makespan * gpus
    outcome.spent["idle or away"] = whole - sum(outcome.spent.values())
    return outcome


def _prepare(
    tasks: Sequence[int], free: list[tuple[float, int]], world: World, outcome: Outcome
) -> dict[int, float]:
    """When each task is prepared, by jobs that take GPUs as cells do."""
    jobs = [[task] for task in tasks] if world.separate else [list(tasks)]
    done: dict[int, float] = {}
    for job in jobs:
        at, gpu = heapq.heappop(free)
        end = at + world.start + world.preparing * len(job)
        outcome.spent["preparing"] += end - at
        heapq.heappush(free, (end, gpu))
        done |= dict.fromkeys(job, end)
    return done


GPUS = (1, 8, 64, 512)

WORLDS = {
    "as assumed": World(),
    "preempted every 8 GPU hours": World(preemption_hours=8.0),
    "ten times the failures": World(failure_hours=200.0),
    "one job prepares all tasks": World(separate=False),
    "states saved every 60 s, whatever that takes": World(save_share=0.0),
}


def table(cells: Sequence[Cell], runs: int = 5) -> list[tuple[str, int, float, Outcome]]:
    """World, GPUs, mean makespan in hours over ``runs`` draws, and one outcome."""
    rows = []
    for name, world in WORLDS.items():
        for gpus in GPUS:
            outcomes = [simulate(cells, gpus, world, seed) for seed in range(runs)]
            mean = sum(outcome.makespan for outcome in outcomes) / runs / HOUR
            rows.append((name, gpus, mean, outcomes[0]))
    return rows


def limits(world: World) -> dict[str, int]:
    """Cells at a time from which something that all share is the limit."""
    states = next(n for n in range(1, 10**6) if n * world.state / world.save_every > world.server)
    return {
        "bytes of states, saved every minute": states,
        "operations on files, the server half busy": int(
            world.server_operations / 2 / world.operations
        ),
        "starts of jobs, an hour each": int(HOUR / world.dispatch),
    }


def draw(rows: Sequence[tuple[str, int, float, Outcome]], total_hours: float, path: Path) -> None:
    """The figure: makespan over GPUs, and what GPU time goes into."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, (left, right) = pyplot.subplots(1, 2, figsize=(11, 4.2), layout="constrained")
    left.plot(GPUS, [total_hours / g for g in GPUS], "k:", label="GPU hours / GPUs")
    for (name, _), marker in zip(WORLDS.items(), "osv^D", strict=True):
        hours = [h for n, _, h, _ in rows if n == name]
        left.plot(GPUS, hours, marker=marker, ms=5, lw=1.2, label=name)
    left.set(xscale="log", yscale="log", xlabel="GPUs", ylabel="hours until all cells are done")
    left.set_xticks(GPUS, [str(g) for g in GPUS])
    left.minorticks_off()
    left.set_title("450 cells of 2 GPU hours in the mean", fontsize=10)
    left.legend(fontsize=8, frameon=False)
    kinds = ("saving states", "starting", "preparing", "lost work", "idle or away")
    names = ("as assumed", "preempted every 8 GPU hours")
    bars = [
        (f"{g}{'p' if name != names[0] else ''}", o)
        for g in GPUS
        for name in names
        for n, gg, _, o in rows
        if (n, gg) == (name, g)
    ]
    bottom = [0.0] * len(bars)
    for kind in kinds:
        shares = [100 * o.spent[kind] / sum(o.spent.values()) for _, o in bars]
        right.bar(range(len(bars)), shares, bottom=bottom, label=kind, width=0.75)
        bottom = [b + s for b, s in zip(bottom, shares, strict=True)]
    right.set_xticks(range(len(bars)), [label for label, _ in bars], fontsize=8)
    right.set(ylabel="per cent of GPU time", xlabel="GPUs (p: preempted)")
    right.set_title("what GPU time goes into beside cells", fontsize=10)
    right.legend(fontsize=8, frameon=False)
    figure.savefig(path, dpi=150)


def main() -> None:
    cells = study()
    total = sum(cell.seconds for cell in cells) / HOUR
    lasting = sorted(cell.seconds / HOUR for cell in cells)
    click.echo(
        f"{len(cells)} cells, {lasting[0]:.1f} to {lasting[-1]:.1f} h, {total:.0f} GPU hours"
    )
    rows = table(cells)
    click.echo("| | " + " | ".join(f"{gpus} GPU{'s' * (gpus > 1)}" for gpus in GPUS) + " |")
    click.echo("|---|" + "---:|" * len(GPUS))
    for name in WORLDS:
        hours = [h for n, _, h, _ in rows if n == name]
        click.echo(f"| {name} | " + " | ".join(f"{h:,.1f} h" for h in hours) + " |")
    for what, count in limits(World()).items():
        click.echo(f"{what}: from {count:,} cells at a time")
    draw(rows, total, HERE / "throughput.png")


if __name__ == "__main__":
    main()
