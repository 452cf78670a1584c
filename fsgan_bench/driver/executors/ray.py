"""Ray: cells as tasks, on a cluster that is there or on one started for the run."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Sequence
from typing import Any

from fsgan_bench.driver.executors.interface import Handle, RunSetting
from fsgan_bench.driver.executors.placement import Pack, Preparation, Work
from fsgan_bench.driver.executors.profile import Resources, find_profile, read_profile
from fsgan_bench.driver.executors.remote import Phase, RemoteExecutor
from fsgan_bench.errors import UserError, one_line, what_happened
from fsgan_bench.system.machine import cores


class RayProfile(Resources):
    """What a profile for Ray may say.

    Attributes:
        resources: custom resources of nodes that a cell takes, such as ``{ a100 = 1 }``.
    """

    resources: dict[str, float] = {}


class RayExecutor(RemoteExecutor):
    """Cells as tasks of Ray."""

    name = "ray"

    def __init__(self, setting: RunSetting) -> None:
        super().__init__(setting)
        self.profile = (
            read_profile(find_profile(setting.profile), RayProfile)
            if setting.profile
            else RayProfile(cpus=min(4, cores()))
        )
        self._refs: dict[Handle, Any] = {}
        self._ray: Any = None

    @property
    def threads(self) -> int:
        return self.profile.cpus

    @property
    def memory(self) -> int | None:
        return self.profile.memory_bytes

    def room(self) -> float:
        return self.slots - len(self._refs)

    def describe(self, preparations: Sequence[Preparation], packs: Sequence[Pack]) -> list[str]:
        where = self.setting.address or "a Ray started on this machine"
        wanted = ", ".join(f"{key}={value}" for key, value in self._options().items())
        return [
            f"{len(preparations)} preparing task(s), one a target, before its cells; "
            f"{sum(len(pack.jobs) for pack in packs)} cell(s) in {len(packs)} task(s) on {where}, "
            f"each with {wanted}."
        ]

    def launch(self, works: Sequence[Work], after: Sequence[Handle]) -> list[Handle]:
        ray = self._started()
        remote = ray.remote(max_calls=1, max_retries=0)(_carry_out)
        before = [self._refs[handle] for handle in after if handle in self._refs]
        handles = []
        for work in works:
            name = "+".join(folder.name for folder in work.folders)
            ref = remote.options(name=name, **self._options()).remote(work, *before)
            handles.append(ref.hex())
            self._refs[ref.hex()] = ref
        return handles

    def _options(self) -> dict[str, Any]:
        profile = self.profile
        options: dict[str, Any] = {
            "num_cpus": profile.cpus,
            "num_gpus": profile.gpus_on(self.setting.device),
            "memory": self.memory,
            "resources": profile.resources or None,
        }
        return {key: value for key, value in options.items() if value is not None}

    def _started(self) -> Any:
        """Ray, connected."""
        if self._ray is not None:
            return self._ray
        if importlib.util.find_spec("ray") is None:
            raise UserError("--executor ray needs Ray: pip install 'fsgan-bench[ray]'.")
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        import ray

        address = self.setting.address
        quiet: dict[str, Any] = {"logging_level": "warning", "log_to_driver": False}
        try:
            if address:
                ray.init(address=address, **quiet)
            else:
                ray.init(address="local", include_dashboard=False, **quiet)
        except Exception as error:  # Ray raises that very class when its start takes too long
            where = f"at {address}" if address else "on this machine"
            raise UserError(f"Ray {where} does not answer: {what_happened(error)}.") from error
        self._ray = ray
        self._check_room()
        return ray

    def _check_room(self) -> None:
        """Raise UserError if no node will ever have room for a cell."""
        wanted = self._options()
        names = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
        flat = {names[key]: wanted[key] for key in names if key in wanted}
        flat |= wanted.get("resources", {})
        nodes = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if not any(all(node.get(k, 0) >= v for k, v in flat.items()) for node in nodes):
            needs = ", ".join(f"{value:g} {key}" for key, value in flat.items() if value)
            self.close()
            raise UserError(f"No node of this Ray has {needs}, which a cell takes (see a profile).")

    def phase(self, handle: Handle) -> Phase:
        from ray import exceptions

        ref = self._refs[handle]
        done, _ = self._ray.wait([ref], timeout=0)
        if not done:
            return Phase()
        try:
            self._ray.get(ref)
        except exceptions.TaskCancelledError:
            return Phase(True, "its task was cancelled")
        except exceptions.OutOfMemoryError as error:
            return Phase(True, f"out of memory: Ray ended its task ({one_line(error)})")
        except (exceptions.NodeDiedError, exceptions.WorkerCrashedError) as error:
            return Phase(True, f"its node or process was lost ({_first_line(error)})", again=True)
        except exceptions.RayTaskError as error:
            return Phase(True, f"its task failed ({_first_line(error.cause)})")
        except exceptions.RayError as error:
            return Phase(True, f"its task failed ({_first_line(error)})", again=True)
        return Phase(True, again=True)

    def settle(self, handle: Handle) -> None:
        super().settle(handle)
        del self._refs[handle]

    def cancel(self, handle: Handle, at_once: bool = False) -> None:
        self._ray.cancel(self._refs[handle], force=at_once)

    def close(self) -> None:
        if self._ray is not None:
            self._ray.shutdown()


def _carry_out(work: Work, *_prepared: None) -> None:
    """The task that runs on a node, once what it waits for has been returned."""
    work.carry_out()


def _first_line(error: object) -> str:
    return one_line(str(error).strip().partition("\n")[0] or type(error).__name__)
