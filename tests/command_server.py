"""Runs the command line in processes forked from this one, which has imported what a run imports.

Each process, and each worker that it starts, would else take seconds more. A line of JSON on the
standard input is a request, a line on the standard output the answer: of what is to be started its
process, of one to be waited for its exit code, or null while it runs.

Where there is a GPU, torch cannot be forked: there every command is started anew.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path
from typing import Any

import sklearn.linear_model  # noqa: F401
import timm  # noqa: F401
import torch

import fsgan_bench.driver.adaptation
import fsgan_bench.driver.run
import fsgan_bench.report.page  # noqa: F401
from fsgan_bench.cli.main import main
from fsgan_bench.driver.task import load_task
from fsgan_bench.figures import canvas
from fsgan_bench.system import machine

SECONDS = 900
"""After which a process is killed."""


def start(request: dict[str, Any]) -> int:
    """Fork a process that carries out a command in a session of its own; its id."""
    if torch.cuda.is_available():
        return start_anew(request)
    process = os.fork()
    if process:
        return process
    os.setsid()
    for number, file in enumerate(request["files"]):
        os.dup2(os.open(file, os.O_RDWR | os.O_CREAT), number)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.path[:0] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    signal.alarm(SECONDS)
    exec(request["before"], {})
    main(request["arguments"], prog_name="python -m fsgan_bench")
    raise AssertionError("click ends the process")


def start_anew(request: dict[str, Any]) -> int:
    """Start an interpreter that carries out a command in a session of its own; its id."""
    code = f"""import signal
signal.alarm({SECONDS})
exec({request["before"]!r}, {{}})
from fsgan_bench.cli.main import main
main({request["arguments"]!r}, prog_name="python -m fsgan_bench")"""
    files = [os.open(file, os.O_RDWR | os.O_CREAT) for file in request["files"]]
    actions = [(os.POSIX_SPAWN_DUP2, opened, number) for number, opened in enumerate(files)]
    os.chdir(request["folder"])
    process = os.posix_spawn(
        *(sys.executable, [sys.executable, "-c", code], request["environment"]),
        file_actions=actions,
        setsid=True,
    )
    for opened in files:
        os.close(opened)
    return process


def ended(process: int) -> int | None:
    found, status = os.waitpid(process, os.WNOHANG)
    return os.waitstatus_to_exitcode(status) if found else None


def serve() -> None:
    forked = multiprocessing.get_context("fork")
    multiprocessing.get_context = lambda method=None: forked  # type: ignore[assignment]
    # A worker makes its task itself, on its own threads, as one that is started anew does.
    os.register_at_fork(after_in_child=load_task.cache_clear)
    # A forked process hangs where it needs threads that were its parent's.
    machine.threads = lambda count: contextlib.nullcontext()  # type: ignore[assignment,return-value]
    # Figures are tested at their own resolution and with their own fonts elsewhere.
    canvas.DPI = 50
    canvas._STYLE["pdf.fonttype"] = 3
    for line in sys.stdin:
        request = json.loads(line)
        answer = ended(request["wait"]) if "wait" in request else start(request)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.path[0] = str(Path.cwd())
    serve()
