"""Runs a check on a Dask cluster; the results come in the order of the files.

Workers need the package and nothing else: a batch carries the content of its files. The scheduler
hands the batches of a lost worker to others. It counts a loss against every batch that the worker
held, so the files of a batch that it gives up are tried again one by one, with nothing of ours
beside them; only a file that ends its workers then is lost.
"""

from __future__ import annotations

import logging
import os
import pickle
import re
import sys
import tempfile
import time
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from itertools import count
from multiprocessing import resource_tracker
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple
from uuid import uuid4

import dask
import distributed

import perflint
from perflint.analysis import distributions, registry
from perflint.analysis.distributions import rule_packages
from perflint.model.config import Config, ConfigError
from perflint.model.outcome import Outcome
from perflint.project import jobs, workers
from perflint.project.cache import State, read

LOCAL = "local"
CONNECT = 5.0  # seconds for a scheduler to answer
PATIENCE = 30.0  # seconds without any worker: one that died may be starting again
TICK = 2.0  # seconds between two looks at the workers


def run(
    job: jobs.Check,
    paths: Sequence[Path],
    address: str,
    processes: int = 0,
    seen: Callable[[Path, State | None], object] = lambda *_: None,
) -> Generator[Outcome, None, None]:
    """What `job` finds in each file, in order, as soon as it is known.

    `address` is a scheduler's (`tcp://host:port`, or `tls://` with the certificates that Dask's own
    configuration names), or `local`: a cluster of `processes` workers on this machine (0: one for each
    processor), which ends with the run. `seen` is told which state of a file was sent. Closing the generator, or Ctrl-C, takes the work back.
    Raise ConfigError where the cluster cannot be used, or is lost.
    """
    verify(address)
    if not paths:
        return
    with _connected(address, min(processes or workers.cpus(), len(paths))) as client:
        yield from _Run(client, address, job, paths, seen).results()


def verify(address: str) -> None:
    """Raise ConfigError for what `run` refuses before it looks for a scheduler."""
    if address != LOCAL and not re.fullmatch(r"(tcp|tls)://.+:\d+", address):
        raise ConfigError(
            f"--cluster {address!r} is no address; write tcp://host:8786, tls://host:8786 or local"
        )
    if address.startswith("tls:"):
        _need_certificates(address)


# What workers do.


class Environment(NamedTuple):
    """What findings depend on besides the files and the configuration."""

    versions: tuple[tuple[str, str], ...]
    codes: frozenset[str]  # of the rules


class _Answer(NamedTuple):
    worker: str
    environment: Environment
    outcomes: tuple[Outcome, ...] = ()  # none where the environment is not that of the client


@cache
def environment() -> Environment:
    """That of this process."""
    packages = {point.dist.name for point in rule_packages() if point.dist}
    versions = {
        "Python": ".".join(map(str, sys.version_info[:2])),
        "perflint": perflint.__version__,
        **{name: version(name) for name in ("libcst", *sorted(packages))},
        "ast_serialize": distributions.version("ast_serialize") or "none",
        "paths of": os.name,
    }
    return Environment(tuple(versions.items()), frozenset(rule.code for rule in registry.rules()))


@dataclass(frozen=True)
class _Task:
    """Becomes its answer where it is unpickled: the scheduler passes bytes on and needs no perflint."""

    client: Environment
    files: tuple[tuple[str, bytes, Config], ...]  # what reports call it, content, configuration

    def __reduce__(self) -> tuple[Any, ...]:
        return _answer, (pickle.dumps(self.client), pickle.dumps(self.files))


def _answer(client: bytes, files: bytes) -> _Answer:
    """A worker may join in the middle of a run, so each batch looks where it is."""
    here, worker = environment(), distributed.get_worker().address
    if here != pickle.loads(client):
        return _Answer(worker, here)
    return _Answer(worker, here, tuple(jobs.inspect(*file) for file in pickle.loads(files)))


# What the client does.


def _compare(address: str, found: dict[str, Environment | Exception]) -> None:
    """Raise ConfigError where workers have another environment than this process."""
    here = environment()
    wrong = []
    for worker, theirs in found.items():
        if isinstance(theirs, OSError):
            continue  # gone meanwhile
        if isinstance(theirs, Exception):
            wrong.append(f"worker {worker} cannot load perflint ({theirs})")
        elif theirs != here:
            wrong.append(f"worker {worker} has {_difference(theirs, here)}")
    if wrong:
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise ConfigError(
            f"--cluster {address}: {'; '.join(wrong[:3])}{more}; install there what is installed here"
        )


def _difference(theirs: Environment, here: Environment) -> str:
    ours = dict(here.versions)
    parts = [
        f"{name} {value} (here {ours.get(name, 'none')})"
        for name, value in theirs.versions
        if ours.get(name) != value
    ]
    parts += [f"no {name}" for name in ours.keys() - dict(theirs.versions).keys()]
    if lacks := here.codes - theirs.codes:
        parts.append(f"no rule {', '.join(sorted(lacks))}")
    if besides := theirs.codes - here.codes:
        parts.append(f"the rule {', '.join(sorted(besides))}, which is not here")
    return ", ".join(parts)


def _need_certificates(address: str) -> None:
    """Raise ConfigError where Dask's configuration names none, or some that cannot be read."""
    try:
        context = distributed.Security().get_connection_args("client").get("ssl_context")
    except OSError as error:  # an SSLError, too
        raise ConfigError(
            f"--cluster {address}: the certificates that Dask's distributed.comm.tls names are of no use: {error}"
        ) from None
    if context is None:
        raise ConfigError(
            f"--cluster {address}: Dask's configuration names no certificate; set distributed.comm.tls "
            "(https://distributed.dask.org/en/stable/tls.html)"
        )


class _Client(distributed.Client):  # type: ignore[misc]  # its package has no types
    def __del__(self) -> None:
        """Nothing: `_connected` closes it. One that Ctrl-C ended as it connected would be waited for here."""


@contextmanager
def _connected(address: str, processes: int) -> Iterator[Any]:
    """A client of the cluster; nothing of ours is left there afterwards."""
    with ExitStack() as stack:
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)  # what happens to the cluster, we say in our own words
        try:
            with warnings.catch_warnings():  # versions that matter are compared by `_compare`
                warnings.simplefilter("ignore", distributed.versions.VersionMismatchWarning)
                where = stack.enter_context(_local(processes)) if address == LOCAL else address
                client = _Client(where, timeout=CONNECT, set_as_default=False, name="perflint")
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            raise ConfigError(f"--cluster {address}: no Dask scheduler answers there: {error}") from None
        stack.callback(_close, client)
        yield client


def _close(client: Any) -> None:
    """Close a client, or a cluster."""
    with workers.deferred_interrupt(), suppress(OSError, distributed.TimeoutError):  # a lost one is closed
        client.close()


@contextmanager
def _local(processes: int) -> Iterator[Any]:
    """A cluster on this machine: encrypted on loopback, so that no other user can send it code."""
    with tempfile.TemporaryDirectory(prefix="perflint-") as folder, ExitStack() as stack:
        settings = {
            "temporary-directory": folder,
            "distributed.scheduler.allowed-failures": 1,
            "distributed.scheduler.http.routes": [],
            "distributed.worker.http.routes": [],
            "distributed.nanny.http.routes": [],
        }
        stack.enter_context(dask.config.set(settings))
        resource_tracker.ensure_running()  # it would let Ctrl-C through as it starts
        with workers.deferred_interrupt():
            cluster = distributed.LocalCluster(
                n_workers=processes,
                threads_per_worker=1,
                host="127.0.0.1",
                security=True,
                dashboard_address=None,
                scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},  # without it, it wants port 8787
                silence_logs=logging.CRITICAL,
            )
            stack.callback(_close, cluster)
        yield cluster


@dataclass
class _Batch:
    files: list[int]  # indexes of the paths
    alone: bool
    future: Any


class _Run:
    """What is to be done, what workers are at, and what is done but not yet due."""

    def __init__(
        self,
        client: Any,
        address: str,
        job: jobs.Check,
        paths: Sequence[Path],
        seen: Callable[[Path, State | None], object],
    ) -> None:
        self.client = client
        self.address = address
        self.job = job
        self.paths = paths
        self.seen = seen
        self.threads = 0
        self.looked = self.staffed = time.monotonic()  # at the workers; there were some
        self._look()
        self.batches = _batches([workers.size(path) for path in paths], self.threads)
        self.suspects: deque[int] = deque()
        self.running: dict[str, _Batch] = {}
        self.answered: SimpleQueue[Any] = SimpleQueue()
        self.done: dict[int, Outcome] = {}
        self.keys = (f"perflint-{uuid4().hex}-{number}" for number in count())

    def results(self) -> Iterator[Outcome]:
        self._compare_all()
        for index in range(len(self.paths)):
            while index not in self.done:
                self._advance()
            yield self.done.pop(index)

    def _compare_all(self) -> None:
        """Those that are there; who joins later is asked with its first batch."""
        try:
            found = self.client.run(environment, on_error="return")
        except OSError:
            raise self._lost() from None
        _compare(self.address, found)

    def _advance(self) -> None:
        """Keep the workers supplied, and take in an answer."""
        while self.batches and len(self.running) < 2 * self.threads + 2:
            self._send(self.batches.popleft())
        if not self.running and self.suspects:
            self._send([self.suspects.popleft()], alone=True)
        if self.answered.empty() and time.monotonic() - self.looked > TICK:
            self._look()
        with suppress(Empty):
            if self.running:
                self._take(self.answered.get(timeout=TICK))

    def _send(self, batch: list[int], alone: bool = False) -> None:
        files = []
        for index in batch:
            path = self.paths[index]
            try:
                raw, state = read(path)
            except OSError as error:
                self.done[index] = jobs.unreadable(path, error)
                continue
            self.seen(path, state)
            files.append((index, (str(path), raw, self.job.config_for(path))))
        if not files:
            return
        task = pickle.dumps(_Task(environment(), tuple(file for _, file in files)))
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sending large graph", UserWarning)  # one large file
            future = self.client.submit(pickle.loads, task, key=next(self.keys), pure=False)
        self.running[future.key] = _Batch([index for index, _ in files], alone, future)
        future.add_done_callback(self.answered.put)

    def _take(self, future: Any) -> None:
        batch = self.running.pop(future.key)
        try:
            answer = future.result(timeout=TICK)
        except distributed.TimeoutError:  # the worker that has it is slow, or gone: it is done again
            self.running[future.key] = batch
            self.answered.put(future)
        except distributed.KilledWorker:
            self._lose(batch)
        except (distributed.CancelledError, OSError):
            raise self._lost() from None
        except Exception as error:
            raise self._error(f"a worker cannot load perflint ({error})") from None
        else:
            _compare(self.address, {answer.worker: answer.environment})
            self.done.update(zip(batch.files, answer.outcomes, strict=True))

    def _lose(self, batch: _Batch) -> None:
        if batch.alone:
            self.done.update((index, self.job.lost(self.paths[index])) for index in batch.files)
        else:
            self.suspects.extend(batch.files)

    def _look(self) -> None:
        """Count the workers' threads. Raise ConfigError where there have been none for long."""
        try:
            self.threads = sum(self.client.nthreads().values())
        except (OSError, RuntimeError, distributed.TimeoutError):
            self.threads = 0  # whether it is lost, the futures will tell
        self.looked = time.monotonic()
        if self.threads:
            self.staffed = self.looked
        elif self.looked - self.staffed > PATIENCE:
            raise self._error(
                f"no worker for {PATIENCE:.0f} seconds; start some with `dask worker {self.address}`"
            )

    def _lost(self) -> ConfigError:
        return self._error("lost the scheduler; the report is not complete, run again")

    def _error(self, what: str) -> ConfigError:
        return ConfigError(f"--cluster {self.address}: {what}")


def _batches(sizes: Sequence[int], threads: int) -> deque[list[int]]:
    """Indexes of files, in order and in batches of about equal size: the first results come first."""
    limit = min(workers.BATCH, sum(sizes) // (max(threads, 8) * 4) + 1)
    batches: deque[list[int]] = deque()
    room = 0
    for index, size in enumerate(sizes):
        if room <= 0:
            batches.append([])
            room = limit
        batches[-1].append(index)
        room -= size + 1000  # an empty file is work too
    return batches
