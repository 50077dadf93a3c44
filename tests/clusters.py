"""Dask schedulers and workers in processes of their own, on loopback, for tests."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

import cloudpickle
import distributed

cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the scheduler has not this module

T = TypeVar("T")

PATIENCE = 60  # seconds, for what never takes so long

# Loaded into workers: files whose first line says so end the worker, or wait until another file exists.
STAND_IN = """\
import os, pathlib, signal, time
from perflint.analysis import engine

def inspect(source, config):
    first = source.text.partition("\\n")[0]
    if first == "# kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if first.startswith("# wait for "):
        flag = pathlib.Path(first.removeprefix("# wait for "))
        flag.with_suffix(".begun").write_text(str(os.getpid()))
        while not flag.exists():
            time.sleep(0.01)
    return real(source, config)

if engine.inspect.__module__ == engine.__name__:  # it may be loaded twice
    real, engine.inspect = engine.inspect, inspect
"""
WITHOUT_US = "import sys; sys.modules['perflint'] = None"


class Cluster:
    """A scheduler that has no perflint, and the workers that tests add; all end with the context."""

    def __init__(self, folder: Path, failures: int, stack: ExitStack) -> None:
        self.folder = folder
        self.failures = failures
        self._stack = stack
        file = folder / "scheduler.json"
        self.scheduler = self.start("scheduler", WITHOUT_US, "--scheduler-file", str(file), "--port", "0")
        self.address = wait_for(lambda: _address(file))
        self.client = stack.enter_context(distributed.Client(self.address, set_as_default=False))

    def start(self, kind: str, preload: str, *arguments: str) -> subprocess.Popen[bytes]:
        script = self.folder / f"preload_{time.monotonic_ns()}.py"
        script.write_text(preload)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", f"distributed.cli.dask_{kind}", "--host", "127.0.0.1"),
                *("--no-dashboard", "--dashboard-address", "127.0.0.1:0", "--preload", str(script)),
                *arguments,
            ],
            env={**os.environ, "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(self.failures)},
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._stack.callback(end, process)
        return process

    def add(self, preload: str = STAND_IN, *, nanny: bool = False, count: int = 1) -> subprocess.Popen[bytes]:
        """Start workers of one thread each, and wait for them; only a nanny starts more than one, and lost ones again."""
        before = set(self.workers())
        process = self.start(
            *("worker", preload, self.address, "--nthreads", "1", "--nworkers", str(count)),
            *("--nanny" if nanny else "--no-nanny", "--local-directory", str(self.folder)),
        )
        wait_for(lambda: len(set(self.workers()) - before) == count)
        return process

    def workers(self) -> list[str]:
        return list(self.client.nthreads())

    def tasks(self) -> int:
        """How many tasks the scheduler knows."""
        return self.client.run_on_scheduler(_tasks)

    def clients(self) -> int:
        return self.client.run_on_scheduler(_clients)


def _tasks(dask_scheduler: distributed.Scheduler) -> int:
    return len(dask_scheduler.tasks)


def _clients(dask_scheduler: distributed.Scheduler) -> int:
    return len([client for client in dask_scheduler.clients if client != "fire-and-forget"])


def _address(file: Path) -> str:
    try:
        return str(json.loads(file.read_text())["address"])
    except (OSError, ValueError):
        return ""


def end(process: subprocess.Popen[bytes]) -> None:
    """Also of a worker's nanny, which ends its workers first."""
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def wait_for(answer: Callable[[], T]) -> T:
    """The first answer that is true."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if found := answer():
            return found
        time.sleep(0.02)
    raise AssertionError("waited in vain")


@contextmanager
def cluster(folder: Path, failures: int = 1) -> Iterator[Cluster]:
    """A cluster that gives a task up when it lost more than `failures` workers to it."""
    with ExitStack() as stack:
        yield Cluster(folder, failures, stack)
