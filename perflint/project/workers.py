"""Runs a job over many files in worker processes; the results come in the order of the files.

Each worker has a pipe of its own and answers file by file, so it is known which file a worker
died on. Files are dealt in batches of about equal size, the largest first.
"""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:  # one process does without
    from multiprocessing.connection import Connection
    from multiprocessing.context import BaseContext

T = TypeVar("T")
Result = TypeVar("Result", covariant=True)

WORTH_A_WORKER = 600_000  # bytes of source; less is checked sooner than all rules are loaded and shared
BATCH = 400_000  # bytes at most, so that the last batches end together
_UNCOLLECTED = 3_000_000  # bytes that are checked between two collections: next to nothing of it is garbage


class Job(Protocol[Result]):
    """What is done with a file; must be picklable."""

    def __call__(self, path: Path) -> Result: ...

    def prepare(self) -> None:
        """Load what it needs, once for all workers that are forked."""
        ...

    def lost(self, path: Path) -> Result:
        """The result for a file that killed its worker twice."""
        ...


def run(job: Job[T], paths: Sequence[Path], jobs: int = 0) -> Generator[T, None, None]:
    """The job's result for each path, in order, as soon as it is known.

    `jobs` is the number of processes: 1 works in this one, 0 takes what the machine and the
    amount of work suggest. Closing the generator, or Ctrl-C, ends the workers.
    """
    sizes = [size(path) for path in paths]
    if jobs < 1:
        jobs = min(cpus(), 1 + sum(sizes) // WORTH_A_WORKER)
    jobs = min(jobs, len(paths))
    if jobs > 1:
        yield from _Pool(job, paths, sizes, jobs).results()
    else:
        with _rare_collections() as collect:
            unread = _UNCOLLECTED
            for path, bytes_ in zip(paths, sizes, strict=True):
                yield job(path)
                unread -= bytes_
                if unread < 0:
                    collect()
                    unread = _UNCOLLECTED


@contextlib.contextmanager
def _rare_collections() -> Iterator[Callable[[], object]]:
    """Garbage is collected only by the call that this gives: trees are many small objects and no cycles, and
    `ast.parse` is twice as fast when nothing walks them meanwhile. What is loaded before, or survives one, is left out
    of further collections."""
    enabled = gc.isenabled()
    gc.disable()
    gc.freeze()
    try:
        yield _collect
    finally:
        gc.unfreeze()
        if enabled:
            gc.enable()


def _collect() -> None:
    gc.collect()
    gc.freeze()


def cpus() -> int:
    """The processors that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on this system
        return os.cpu_count() or 1


def size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _batches(sizes: Sequence[int], jobs: int) -> deque[list[int]]:
    """Indexes of files, dealt out by size, the largest first."""
    limit = min(BATCH, sum(sizes) // (jobs * 4) + 1)
    batches: deque[list[int]] = deque()
    room = 0
    for index in sorted(range(len(sizes)), key=lambda index: -sizes[index]):
        if room <= 0:
            batches.append([])
            room = limit
        batches[-1].append(index)
        room -= sizes[index] + 1000  # an empty file is work too
    return batches


class _Worker:
    """A process, the parent's end of its pipe, and the files it has not answered for."""

    def __init__(self, context: BaseContext, job: Job[object], siblings: Iterable[_Worker]) -> None:
        self.pipe, theirs = context.Pipe()
        # A forked child inherits the pipes to its siblings; open, they would hide that we are gone.
        inherited = (
            [self.pipe, *(worker.pipe for worker in siblings)] if context.get_start_method() == "fork" else []
        )
        self.process = context.Process(target=_serve, args=(job, theirs, inherited), daemon=True)  # type: ignore[attr-defined]
        self.todo: deque[int] = deque()
        self.alone = False  # on a file that a worker has died on
        with deferred_interrupt():
            self.process.start()
        theirs.close()

    def give(self, batch: list[int], paths: Sequence[Path]) -> None:
        self.todo = deque(batch)
        self.pipe.send([paths[index] for index in batch])

    def end(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join()


class _Pool(Generic[T]):
    """The workers, what is left to do, and what is done but not yet due."""

    def __init__(self, job: Job[T], paths: Sequence[Path], sizes: Sequence[int], jobs: int) -> None:
        self.job = job
        self.paths = paths
        self.jobs = jobs
        self.batches = _batches(sizes, jobs)
        self.suspects: deque[int] = deque()  # files of a worker that died: each goes alone
        self.done: dict[int, T] = {}
        self.workers: list[_Worker] = []
        from multiprocessing import get_context

        self.context = get_context(_start_method())

    def results(self) -> Iterator[T]:
        if self.context.get_start_method() == "fork":
            self.job.prepare()
        # What is loaded now is shared with forked workers, so do not touch it here either.
        with _rare_collections():
            try:
                for index in range(len(self.paths)):
                    while index not in self.done:
                        self._advance()
                    yield self.done.pop(index)
            finally:
                for worker in self.workers:
                    worker.end()

    def _advance(self) -> None:
        """Give every idle worker something to do, and take in what the busy ones answer."""
        from multiprocessing.connection import wait

        self._deal()
        busy = {worker.pipe: worker for worker in self.workers if worker.todo}
        for pipe in wait(list(busy)):
            worker = busy[pipe]  # type: ignore[index]
            try:
                self.done[worker.todo[0]] = worker.pipe.recv()
                worker.todo.popleft()
            except (EOFError, OSError):
                self._bury(worker)

    def _deal(self) -> None:
        idle = [worker for worker in self.workers if not worker.todo]
        while self.batches or self.suspects:
            if not idle:
                if len(self.workers) == self.jobs:
                    return
                idle.append(_Worker(self.context, self.job, self.workers))
                self.workers.append(idle[0])
            worker = idle.pop()
            worker.alone = not self.batches
            batch = self.batches.popleft() if self.batches else [self.suspects.popleft()]
            try:
                worker.give(batch, self.paths)
            except OSError:  # it died while idle
                self._bury(worker)

    def _bury(self, worker: _Worker) -> None:
        """Its files are tried one by one; one that was alone with it is lost."""
        self.workers.remove(worker)
        worker.end()
        if worker.alone:
            index = worker.todo[0]
            self.done[index] = self.job.lost(self.paths[index])
        else:
            self.suspects.extend(worker.todo)


def _serve(job: Job[object], pipe: Connection, inherited: Iterable[Connection]) -> None:
    """A worker's life: answer for each path of each batch until the pipe closes."""
    import signal

    with contextlib.suppress(ValueError):
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    for other in inherited:
        other.close()
    with contextlib.suppress(EOFError, OSError), _rare_collections() as collect:
        while True:
            for path in pipe.recv():
                pipe.send(job(path))
            collect()


def _start_method() -> str:
    """Fork where it is sound: elsewhere, or beside other threads, a child may hang on a lock."""
    import threading

    return "fork" if sys.platform == "linux" and threading.active_count() == 1 else "spawn"


@contextlib.contextmanager
def deferred_interrupt() -> Iterator[None]:
    """Hold Ctrl-C back, for this process and those that it starts meanwhile.

    A child may start before it has learned to ignore it.
    """
    import signal

    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
