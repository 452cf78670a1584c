"""A real SLURM of two nodes on one host: controller, node daemons and munge, on loopback alone.

No systemd is needed, but root is. Nodes have a made-up GPU each (a null device), and what is
submitted to the partition ``urgent`` preempts what runs in ``main``. Nothing accounts, so that
``sacct`` answers nothing; the controller remembers ended jobs for an hour.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "squeue", "sbatch")
PACKAGES = ("slurmctld", "slurmd", "slurm-client", "munge")
NODES = ("n1", "n2")

CONFIGURATION = """\
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket,cred_expire=5
CredType=cred/munge
SlurmUser=root
SlurmdUser=root
StateSaveLocation={folder}/controller
SlurmdSpoolDir={folder}/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SlurmdParameters=config_overrides
SlurmctldParameters=preempt_send_user_signal
MpiDefault=none
ReturnToService=2
SlurmctldTimeout=30
SlurmdTimeout=10
InactiveLimit=0
KillWait=2
MinJobAge=3600
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0,sched_min_interval=0
PriorityType=priority/basic
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
PropagateResourceLimits=NONE
{nodes}
PartitionName=main Nodes=ALL Default=YES PriorityTier=1 PreemptMode=REQUEUE GraceTime={grace}
PartitionName=urgent Nodes=ALL PriorityTier=10 PreemptMode=OFF
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=2000 "
    "Gres=gpu:1"
)


def why_not() -> str:
    """Why no SLURM can be started here, "" if it can."""
    if os.geteuid() != 0:
        return "a SLURM is only started by root"
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed: apt-get install {' '.join(PACKAGES)}"
    return ""


@dataclass
class Cluster:
    """The daemons whose state is in ``folder``, a short path: sockets are in it.

    Attributes:
        grace: seconds that a preempted job has.
    """

    folder: Path
    grace: int = 120

    def start(self) -> None:
        """Configure and start everything, and wait until the nodes are idle."""
        host, port = socket.gethostname().partition(".")[0], _free_ports(1 + len(NODES))
        for name in ("munge", "controller", *NODES):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        (self.folder / "munge").chmod(0o711)
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(1024))
        key.chmod(0o400)
        gpus = []
        for name in NODES:
            device = self.folder / f"{name}-gpu"
            os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
            gpus.append(f"NodeName={name} Name=gpu File={device}\n")
        (self.folder / "gres.conf").write_text("".join(gpus))
        lines = [NODE.format(name=n, host=host, port=port + i) for i, n in enumerate(NODES, 1)]
        self.configuration.write_text(
            CONFIGURATION.format(
                host=host, port=port, folder=self.folder, nodes="\n".join(lines), grace=self.grace
            )
        )
        munge = self.folder / "munge"
        _run(
            *("munged", "--force", f"--key-file={key}", f"--socket={munge}/socket"),
            *(f"--pid-file={munge}/pid", f"--log-file={munge}/log", f"--seed-file={munge}/seed"),
        )
        self.start_controller()
        for name in NODES:
            self.start_node(name)
        os.environ["SLURM_CONF"] = str(self.configuration)
        wait_for(lambda: _run("sinfo", "-h", "-N", "-p", "main", "-o", "%t") == "idle\nidle\n", 60)

    @property
    def configuration(self) -> Path:
        return self.folder / "slurm.conf"

    def start_controller(self) -> None:
        _run("slurmctld", "-f", str(self.configuration))

    def stop_controller(self) -> None:
        _end(self.folder / "slurmctld.pid", signal.SIGTERM)

    def start_node(self, name: str) -> None:
        _run("slurmd", "-N", name, "-f", str(self.configuration))

    def kill_node(self, name: str) -> None:
        """What a power cut does: daemon, steps and their processes are gone without a word."""
        daemon = int((self.folder / f"{name}.pid").read_text())
        mine = f"SLURMD_NODENAME={name}".encode()
        jobs = {process for process in _processes() if mine in _environment(process)}
        steps = {_parent(process) for process in jobs} - jobs - {0, 1}
        for process in (daemon, *steps, *jobs):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)

    def stop(self) -> None:
        """Cancel all jobs and end what was started, by its pid files."""
        if self.configuration.exists():
            with contextlib.suppress(subprocess.SubprocessError):
                _run("scancel", "--user=root", "--quiet")
                wait_for(lambda: not _run("squeue", "-h", "-t", "R,CG"), 15)
        files = [self.folder / name for name in ("slurmctld.pid", *(f"{n}.pid" for n in NODES))]
        for file in (*files, self.folder / "munge" / "pid"):
            _end(file, signal.SIGTERM)
        os.environ.pop("SLURM_CONF", None)


def states() -> dict[str, str]:
    """The state of every job that the controller knows, by its number."""
    rows = _run("squeue", "-h", "-r", "-t", "all", "-o", "%i|%T").splitlines()
    return dict(row.split("|") for row in rows)


def wait_for(true: Callable[[], object], seconds: float) -> None:
    """Wait until something is true; TimeoutError after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(subprocess.SubprocessError):
            if true():
                return
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds:g} s in vain")
        time.sleep(0.2)


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return done.stdout


def _free_ports(count: int) -> int:
    """The first of ``count`` free ports in a row."""
    for base in range(17800, 19800, 10):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(base, base + count):
                stack.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return base
    raise RuntimeError("no free ports")


def _end(file: Path, number: signal.Signals) -> None:
    """End the process of a pid file, if it is there, and wait for that."""
    with contextlib.suppress(OSError, ValueError):
        process = int(file.read_text())
        os.kill(process, number)
        for _ in range(100):
            os.kill(process, 0)
            time.sleep(0.1)
        os.kill(process, signal.SIGKILL)
    file.unlink(missing_ok=True)


def _processes() -> Iterator[int]:
    return (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit())


def _environment(process: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/environ").read_bytes()
    return b""


def _parent(process: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[1])
    return 0
