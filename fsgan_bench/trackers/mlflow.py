"""MLflow: an experiment a task, a run a cell, in a SQLite file unless told otherwise.

``MLFLOW_TRACKING_URI`` names the server or data base; by default ``mlflow.db`` below the folder.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from mlflow.entities import Metric
from mlflow.tracking import MlflowClient

from fsgan_bench.trackers.tracker import TrackedCell

_TAG = "fsgan_bench.hash"
_LONGEST = 6000
_AT_ONCE = 100


class MLflow:
    """One run; an earlier one of the same cell goes to MLflow's bin."""

    def __init__(self, folder: Path, cell: TrackedCell) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        uri = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{folder.resolve()}/mlflow.db")
        self.client = MlflowClient(uri)
        name = f"fsgan-bench/{cell.group}"
        known = self.client.get_experiment_by_name(name)
        beside = (folder / "mlflow-artifacts").resolve().as_uri()
        experiment = known.experiment_id if known else None
        if experiment is None:
            experiment = self.client.create_experiment(
                name, beside if uri.startswith("sqlite:") else None
            )
        for old in self.client.search_runs([experiment], f"tags.`{_TAG}` = '{cell.hash}'"):
            self.client.delete_run(old.info.run_id)
        run = self.client.create_run(experiment, run_name=cell.name, tags={_TAG: cell.hash})
        self.run = run.info.run_id
        for key, value in cell.config.items():
            self.client.log_param(self.run, key, str(value)[:_LONGEST])

    def log(self, iteration: int, values: Mapping[str, float]) -> None:
        metrics = [Metric(name, value, 0, iteration) for name, value in values.items()]
        for first in range(0, len(metrics), _AT_ONCE):
            self.client.log_batch(self.run, metrics=metrics[first : first + _AT_ONCE])

    def image(self, iteration: int, path: Path) -> None:
        self.client.log_artifact(self.run, str(path), "same_noise")

    def finish(self, done: bool) -> None:
        self.client.set_terminated(self.run, "FINISHED" if done else "FAILED")
