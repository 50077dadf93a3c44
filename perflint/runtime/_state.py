"""The heart of `WorkerPool`: queue, workers and counters under one lock.

Workers refer to this state and never to the pool, so an abandoned pool can be collected. The lock is re-entrant
because a signal handler, or a finalizer run by the garbage collector, may call the pool in a thread that holds it.
Wherever that could change an answer already given, the answer is tested again after it was acted upon.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context
from typing import Any

from ._checks import Hook, PoolStats
from ._exits import allow_no_daemons, exiting, run_at_exit
from ._forks import survive_fork
from ._report import Reporter, log_error

Task = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any], "Context | None"]

_SLICE = 1.0  # seconds; a wake-up lost to a signal handler costs at most this


class Waiter:
    """A caller of `submit_wait`; the worker that frees a slot moves its task into the queue."""

    __slots__ = ("admitted", "ready", "task")

    def __init__(self, task: Task, lock: threading.RLock) -> None:
        self.task = task
        self.ready = threading.Condition(lock)
        self.admitted = False


class PoolState:
    """Everything a worker needs; all methods may be called from any thread."""

    def __init__(
        self, workers: int, queue_size: int, name: str, on_error: Hook | None, exit_timeout: float
    ) -> None:
        self.workers = workers
        self.capacity = workers + queue_size
        self.name = name
        self.exit_timeout = exit_timeout
        self.reporter = Reporter(name, on_error)
        self.closed = exiting()
        self.epoch = 0
        self._clear()
        survive_fork(self)
        run_at_exit(self)

    def _clear(self) -> None:
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.tasks: deque[Task] = deque()
        self.waiters: deque[Waiter] = deque()
        self.threads: set[threading.Thread] = set()
        self.idle: dict[Any, None] = {}  # the gates of sleeping workers that nobody has woken yet
        self.parks = 0
        self.growing = False
        self.short = ""
        self.told_short = False
        self.active = self.rejected = self.completed = self.failed = self.dropped = 0

    def after_fork(self) -> None:
        """Start afresh: no thread came along, and the queue is the parent's to run."""
        self.epoch += 1
        self._clear()
        self.reporter.after_fork()

    # Admission

    def offer(self, task: Task) -> bool:
        with self.lock:
            accepted = self._admit(task)
            if not accepted:
                self.rejected += 1
        if self.short:
            self._tell_short()
        return accepted

    def offer_wait(self, task: Task, timeout: float) -> bool:
        """Like `offer`, but queue up for a slot for at most `timeout` seconds."""
        with self.lock:
            accepted = self._admit(task)
            if not accepted:
                waiter = Waiter(task, self.lock)
                self.waiters.append(waiter)
                try:
                    self._wait(waiter.ready, lambda: waiter.admitted or self.closed, timeout)
                finally:
                    with contextlib.suppress(
                        ValueError
                    ):  # a worker has taken it out, or from here on none can
                        self.waiters.remove(waiter)
                    accepted = waiter.admitted
                    self.rejected += not accepted
        if self.short:
            self._tell_short()
        return accepted

    def _admits(self) -> bool:
        return not self.closed and len(self.tasks) + self.active < self.capacity

    def _admit(self, task: Task) -> bool:
        if not self._admits():
            return False
        needed = not self.idle and len(self.threads) < self.workers
        if needed and not (self._grow() and self._admits()):
            return False
        mark = self.parks
        self._wake()  # before the append: an exception from a signal handler cannot leave a task unannounced
        self.tasks.append(task)
        if self.closed or self.parks != mark or len(self.tasks) + self.active > self.capacity:
            return self._reconsider(task)
        return True

    def _reconsider(self, task: Task) -> bool:
        """A signal handler used the pool while `task` was being admitted: is the answer still right?"""
        place = next((index for index, other in enumerate(self.tasks) if other is task), None)
        if place is None:
            return True  # the handler waited meanwhile, and a worker took the task (or a shutdown counted it)
        if self.closed or len(self.tasks) + self.active > self.capacity:
            del self.tasks[place]
            return False
        self._wake()
        return True

    def _wake(self) -> None:
        """Wake one sleeping worker, if there is one."""
        while self.idle:
            try:
                gate = next(reversed(self.idle))  # the last to fall asleep has the warmest caches
            except (RuntimeError, StopIteration):  # a signal handler has just woken it
                continue
            try:
                gate.release()
            except RuntimeError:  # an interrupted call released it and did not get to the pop
                self.idle.pop(gate, None)
            else:
                self.idle.pop(gate, None)
                return

    # Workers

    def start(self) -> None:
        with self.lock:
            if self.closed:
                raise RuntimeError(f"{self.name}: the pool is shut down")
            before = -1
            while before < len(self.threads) < self.workers:
                before = len(self.threads)
                self._grow()
        self._tell_short()

    def _grow(self) -> bool:
        """Start one more worker. False at interpreter shutdown without any; RuntimeError if none can start."""
        if self.growing:  # a signal handler interrupted us; threading's own lock may be taken
            return bool(self.threads)
        self.growing = True
        try:
            thread = self._new_thread()
            self.threads.add(thread)  # before start(): a shutdown in a signal handler must wait for it
            try:
                thread.start()
            except BaseException:
                self.threads.discard(thread)  # if it did start, it finds itself unwanted and leaves
                raise
        except RuntimeError as exc:
            return self._cannot_grow(exc)
        finally:
            self.growing = False
        return True

    def _new_thread(self) -> threading.Thread:
        name = f"{self.name}-{len(self.threads)}"
        try:
            return threading.Thread(target=work, args=(self, self.epoch), name=name, daemon=True)
        except RuntimeError:  # some sub-interpreters forbid daemon threads
            allow_no_daemons()
            return threading.Thread(target=work, args=(self, self.epoch), name=name, daemon=False)

    def _cannot_grow(self, exc: RuntimeError) -> bool:
        if self.threads:
            self.short = f"{len(self.threads)} of {self.workers} workers: {exc}"
            return True
        self.dropped += len(self.tasks)  # only what a signal handler relied on this thread for
        self.tasks.clear()
        if exiting() or sys.is_finalizing() or not threading.main_thread().is_alive():
            return False
        raise RuntimeError(f"{self.name}: no worker thread can start ({exc})") from exc

    def _tell_short(self) -> None:
        """Log, once and outside the lock, that the pool goes on with fewer workers."""
        short, self.short = self.short, ""
        if short and not self.told_short:
            self.told_short = True
            log_error("%s: cannot start a thread; going on with %s", self.name, short)

    def take(self, gate: Any, epoch: int, failed: bool | None) -> Task | None:
        """The next task for a worker, or None if it shall leave. `failed` tells how the last one ended."""
        if failed is not None:
            with self.lock:
                if self.epoch == epoch:
                    self._settle(failed)
        while True:
            with self.lock:
                if self.epoch != epoch:
                    return None
                self.idle.pop(gate, None)
                here = threading.current_thread()
                if here in self.threads and self.tasks:
                    self.active += 1
                    return self.tasks.popleft()
                if self.closed or here not in self.threads:
                    self.threads.discard(here)
                    self.changed.notify_all()
                    return None
                self.idle[gate] = None
                self.parks += 1
                if self.closed or self.tasks:  # a finalizer used the pool between the test and the line above
                    continue
            gate.acquire()

    def _settle(self, failed: bool) -> None:
        self.active -= 1
        if failed:
            self.failed += 1
        else:
            self.completed += 1
        while self.waiters and self._admits():
            waiter = self.waiters.popleft()
            waiter.admitted = True
            self.tasks.append(waiter.task)
            waiter.ready.notify()
            self._wake()
        if not self.tasks and not self.active:
            self.changed.notify_all()

    # Waiting and ending

    def inside(self) -> bool:
        return threading.current_thread() in self.threads

    def join(self, timeout: float | None) -> bool:
        if self.inside():
            raise RuntimeError(f"{self.name}: join() from a task of the pool would wait for itself")
        with self.lock:
            return self._wait(self.changed, lambda: not self.tasks and not self.active, timeout)

    def shutdown(self, wait: bool, drain: bool, timeout: float | None) -> bool:
        threads = self.close(drain)
        if wait and not self.inside():
            deadline = None if timeout is None else time.monotonic() + timeout
            with self.lock:
                gone = self._wait(self.changed, lambda: not self.threads, timeout)
            for thread in threads if gone else ():
                if thread.ident is not None:  # it has left the set; only its last instructions remain
                    thread.join(None if deadline is None else max(0.0, deadline - time.monotonic()))
        self.reporter.flush()
        return not self.threads

    def close(self, drain: bool) -> list[threading.Thread]:
        """Refuse new tasks and let the workers leave when the queue is empty; without `drain`, empty it."""
        lost: deque[Task] = deque()  # keeps the tasks until the lock is free: finalizers may run with them
        with self.lock:
            self.closed = True
            if not drain:
                lost, self.tasks = self.tasks, lost
                self.dropped += len(lost)
            while self.idle:
                self._wake()
            for waiter in self.waiters:
                waiter.ready.notify()
            self.changed.notify_all()
            return list(self.threads)

    def finish(self, deadline: float) -> None:
        """At exit: wait for the workers until `deadline` (monotonic), then say what is lost."""
        if self.inside():
            return
        with self.lock:
            self._wait(self.changed, lambda: not self.threads, max(0.0, deadline - time.monotonic()))
            lost, running = len(self.tasks), self.active
        if lost or running:
            log_error("%s: exit: %d queued tasks lost, %d still running", self.name, lost, running)
        self.close(drain=False)
        self.reporter.flush()

    def stats(self) -> PoolStats:
        with self.lock:
            queued, active = len(self.tasks), self.active
            ended = self.completed + self.failed + self.dropped
            return PoolStats(
                ended + queued + active,
                self.rejected,
                self.completed,
                self.failed,
                self.dropped,
                queued,
                active,
            )

    def _wait(
        self, condition: threading.Condition, test: Callable[[], object], timeout: float | None
    ) -> bool:
        """Wait for `test`, with the lock held.

        In slices, because a signal handler that runs between the test and the wait can use up the wake-up.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while not test():
            left = _SLICE if deadline is None else min(_SLICE, deadline - time.monotonic())
            if left <= 0:
                return False
            condition.wait(left)
        return True


def work(state: PoolState, epoch: int) -> None:
    """The life of a worker thread: nothing that a task does ends it."""
    gate = threading.Lock()
    gate.acquire()
    failed: bool | None = None
    while (task := state.take(gate, epoch, failed)) is not None:
        failed = not run(task, state.reporter)
        task = None  # an idle pool keeps no argument alive


def run(task: Task, reporter: Reporter) -> bool:
    fn, args, kwargs, context = task
    try:
        if context is None:
            fn(*args, **kwargs)
        else:
            context.run(fn, *args, **kwargs)
    except BaseException as exc:
        with contextlib.suppress(
            BaseException
        ):  # in a forked child this is the main thread: reports let Ctrl-C pass
            reporter.report(exc, fn)
        return False
    return True
