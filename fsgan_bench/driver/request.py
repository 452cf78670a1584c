"""What a run is asked for, by the command or by a script."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from fsgan_bench.driver.executors.engines import load_engine
from fsgan_bench.driver.task import TaskRequest
from fsgan_bench.errors import UserError
from fsgan_bench.results.keeping import KEEPS, Keep
from fsgan_bench.system.bounds import BOUNDS, MAX_SEED
from fsgan_bench.system.machine import check_device, check_device_name, default_device
from fsgan_bench.training.numerics import PRECISIONS, Numerics


@dataclass(frozen=True)
class RunRequest:
    """What a run is asked for; ``fsgan-bench run --help`` has the options of the same names.

    Attributes:
        methods: names with commas; ``all`` for the built-in ones, ``none`` to score the source.
        targets: of the suite.
        suite: its name, or its TOML file.
        data: folder that the suite's paths start from.
        budget: of the suite; by default its first.
        shots: few-shot images; by default the suite's.
        seeds: of the training, a cell each.
        iterations, snapshots: in place of the budget's.
        settings: ``METHOD.KEY=VALUE[,VALUE...]`` each.
        plugins: files with methods.
        out: root of all results.
        fresh: start the plan's cells over.
        device: ``cpu`` or ``cuda[:N]``.
        jobs: cells at a time; by default one a core.
        allow_weak_classifier: score although the classifier fails its checks.
        keep_snapshots: which stay: ``none``, ``last``, ``scored``, or ``all``, which keeps the
            final training state besides.
        cell_timeout: seconds after which a cell is stopped.
        precision: ``fp32``, ``bf16`` or ``fp16``, of the convolutions in training.
        accumulate: micro-batches that a batch is computed in.
        compile: translate the networks with ``torch.compile``.
        executor: ``local``, ``slurm`` or ``ray``, with ``:PROFILE``.
        address: of a running Ray.
        pack: cells a job of an engine.
        retries: further tries of a cell whose job the engine lost.
        detach: leave the jobs once they are submitted.
    """

    methods: str
    targets: tuple[str, ...]
    suite: str = "avatars"
    data: Path | None = None
    budget: str | None = None
    shots: int | None = None
    seeds: tuple[int, ...] = (0,)
    iterations: int | None = None
    snapshots: int | None = None
    settings: tuple[str, ...] = ()
    plugins: tuple[Path, ...] = ()
    out: Path = Path("results")
    fresh: bool = False
    device: str = field(default_factory=default_device)
    jobs: int | None = None
    allow_weak_classifier: bool = False
    keep_snapshots: Keep = "scored"
    cell_timeout: float | None = None
    precision: str = "fp32"
    accumulate: int = 1
    compile: bool = False
    executor: str = "local"
    address: str | None = None
    pack: int = 1
    retries: int = 2
    detach: bool = False

    @property
    def numerics(self) -> Numerics:
        return Numerics(self.precision, self.accumulate, self.compile)

    @property
    def here(self) -> bool:
        """Whether cells run on this machine; elsewhere they may have devices that it lacks."""
        return load_engine(self.executor).here

    def check(self) -> None:
        """Refuse what no run can have, whoever asks for it.

        Raises:
            UserError: a number out of its bounds, a device that is not there where it has to be
                here, or jobs that cannot be left.
        """
        for name, (least, most) in BOUNDS.items():
            value = getattr(self, name)
            if value is not None and not (_is_whole(value) and least <= value <= most):
                raise UserError(f"--{name} must be {least:,} to {most:,}, not {value!r}.")
        for seed in self.seeds:
            if not (_is_whole(seed) and 0 <= seed <= MAX_SEED):
                raise UserError(f"--seeds must be 0 to {MAX_SEED:,}, not {seed!r}.")
        if len(set(self.seeds)) != len(self.seeds):
            raise UserError("--seeds names a seed twice.")
        for name, known in (("keep-snapshots", KEEPS), ("precision", PRECISIONS)):
            value = getattr(self, name.replace("-", "_"))
            if value not in known:
                raise UserError(f"--{name} must be one of {', '.join(known)}, not {value}.")
        if self.cell_timeout is not None and not self.cell_timeout >= 1:
            raise UserError(f"--cell-timeout must be at least 1 second, not {self.cell_timeout}.")
        engine = load_engine(self.executor)
        if self.detach and not engine.outlives_run:
            raise UserError(f"--detach: the cells of --executor {engine.name} end with the run.")
        if engine.here:
            check_device(self.device)
        else:
            check_device_name(self.device)

    def task(self, target: str, shots: int) -> TaskRequest:
        """The request of a target's task."""
        return TaskRequest(
            suite=self.suite,
            target=target,
            shots=shots,
            root=self.out.resolve(),
            data=self.data,
            device=self.device if self.here else "cpu",
            allow_weak_classifier=self.allow_weak_classifier,
        )


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
