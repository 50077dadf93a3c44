"""The contract of `WorkerPool`, row by row."""

import contextvars
import copy
import functools
import gc
import logging
import pickle
import sys
import threading
import types
import weakref
from typing import Any

import pytest
from runtime_helpers import LONG, Blocker, consistent, gone, script, until

from perflint.runtime import WorkerPool


class Custom(BaseException):
    pass


class Thing:
    pass


# Capacity and arguments


@pytest.mark.parametrize(("workers", "queue_size"), [(1, 0), (1, 3), (4, 0), (4, 10)])
def test_capacity_is_exact(workers: int, queue_size: int) -> None:
    blocker = Blocker(workers)
    with WorkerPool(workers, queue_size) as pool:
        for _ in range(3):  # from idle each time: fresh workers, then sleeping ones
            answers = [pool.submit(blocker) for _ in range(workers + queue_size + 3)]
            assert answers == [True] * (workers + queue_size) + [False] * 3
            blocker.started()
            assert pool.stats().active == workers and pool.stats().queued == queue_size
            blocker.release()
            assert pool.join(LONG)
            blocker = Blocker(workers)
    assert pool.stats()[:4] == (3 * (workers + queue_size), 9, 3 * (workers + queue_size), 0)


def test_the_answer_does_not_depend_on_whether_a_worker_woke_up() -> None:
    with WorkerPool(2, 1) as pool, pool._state.lock:  # no worker can take anything now
        assert [pool.submit(int) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("bad", [-1, True, 1.0, "1", None])
def test_sizes_are_checked(bad: Any) -> None:
    with pytest.raises(ValueError, match=r"workers must be an int >= 1, got"):
        WorkerPool(bad, 1)
    with pytest.raises(ValueError, match=r"queue_size must be an int >= 0, got"):
        WorkerPool(1, bad)
    with pytest.raises(ValueError, match="workers"):
        WorkerPool(0, 1)


def test_other_arguments_are_checked() -> None:
    async def hook(exc: BaseException, fn: object) -> None: ...

    with pytest.raises(TypeError, match="on_error must be callable"):
        WorkerPool(1, 1, on_error=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="on_error must be a plain function"):
        WorkerPool(1, 1, on_error=hook)
    with pytest.raises(ValueError, match="exit_timeout must be >= 0 seconds"):
        WorkerPool(1, 1, exit_timeout=-1)
    with pytest.raises(ValueError, match="exit_timeout"):
        WorkerPool(1, 1, exit_timeout=float("nan"))
    with WorkerPool(1, 1) as pool:
        with pytest.raises(TypeError, match="timeout must be a number"):
            pool.submit_wait(int, timeout=None)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="timeout"):
            pool.submit_wait(int)  # type: ignore[call-arg]
        assert pool.join(float("inf")) and pool.submit_wait(int, timeout=1e300)


class AsyncCallable:
    async def __call__(self) -> None: ...

    async def method(self) -> None: ...


async def coroutine_function() -> None: ...


async def async_generator() -> Any:
    yield 1


def generator() -> Any:
    yield 1


@pytest.mark.parametrize(
    "fn",
    [
        None,
        "print",
        coroutine_function,
        async_generator,
        generator,
        functools.partial(functools.partial(coroutine_function)),
        AsyncCallable(),
        AsyncCallable().method,
    ],
    ids=[
        "None",
        "a text",
        "coroutine function",
        "asynchronous generator",
        "generator",
        "partial",
        "object",
        "method",
    ],
)
def test_what_would_never_run_is_refused(fn: Any) -> None:
    with WorkerPool(1, 1) as pool:
        for call in (pool.submit, functools.partial(pool.submit_wait, timeout=0)):
            with pytest.raises(TypeError, match="expected a"):
                call(fn)
        assert pool.stats().submitted == pool.stats().rejected == 0


# Isolation and reports


def recurse() -> None:
    recurse()


def raising(error: type[BaseException]) -> None:
    raise error("boom")


STORM = [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit, Custom]


def test_no_outcome_ends_a_worker(storm: int = 100) -> None:
    seen: list[str] = []
    lock = threading.Lock()

    def hook(exc: BaseException, fn: object) -> None:
        with lock:
            seen.append(type(exc).__name__)
        raise SystemExit("a broken hook")

    logging.getLogger("perflint.runtime").disabled = True
    try:
        with WorkerPool(4, 10_000, on_error=hook).start() as pool:
            workers = {thread.ident for thread in pool._state.threads}
            for _ in range(storm):
                assert all(pool.submit(raising, error) for error in STORM)
                assert pool.submit(recurse)
            assert pool.join(LONG)
            assert {thread.ident for thread in pool._state.threads} == workers
            done = threading.Event()
            assert pool.submit(done.set) and done.wait(LONG)
    finally:
        logging.getLogger("perflint.runtime").disabled = False
    assert len(seen) == pool.stats().failed == 6 * storm and consistent(pool.stats())


@pytest.mark.slow
def test_no_outcome_ends_a_worker_long() -> None:
    test_no_outcome_ends_a_worker(storm=1000)


def test_failures_are_logged_at_a_bounded_rate(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "perflint.runtime"):
        pool = WorkerPool(4, 10_000, name="mail")
        pool._state.reporter._clock = lambda: 1.0  # the second never ends
        for _ in range(10_000):
            assert pool.submit(raising, ValueError)
        assert pool.shutdown()
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 10 and all(record.exc_info for record in errors)
    assert errors[0].getMessage() == "mail: raising failed"
    assert [r.getMessage() for r in caplog.records if r not in errors] == ["mail: 9990 failures suppressed"]


def test_the_next_second_tells_what_was_suppressed(caplog: pytest.LogCaptureFixture) -> None:
    now = 1.0
    with caplog.at_level(logging.WARNING, "perflint.runtime"), WorkerPool(1, 100) as pool:
        pool._state.reporter._clock = lambda: now
        for second in (1.0, 2.0):
            now = second
            for _ in range(15):
                pool.submit(raising, SystemExit)
            assert pool.join(LONG)
        messages = [record.getMessage() for record in caplog.records]
        assert len(messages) == 21 and messages[10] == "pool: 5 failures suppressed"


def test_a_broken_hook_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    def hook(exc: BaseException, fn: object) -> None:
        raise KeyError("hook")

    with WorkerPool(1, 1, on_error=hook) as pool:
        pool.submit(raising, ValueError)
    assert [record.getMessage() for record in caplog.records] == ["pool: on_error failed for raising"]
    assert "boom" in caplog.text and "KeyError" in caplog.text


def test_a_broken_log_handler_does_not_end_a_worker() -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise SystemExit

    logger, handler = logging.getLogger("perflint.runtime"), Broken()
    logger.addHandler(handler)
    try:
        with WorkerPool(1, 2) as pool:
            assert pool.submit(raising, ValueError) and pool.submit(int)
    finally:
        logger.removeHandler(handler)
    assert pool.stats().failed == pool.stats().completed == 1


@pytest.mark.parametrize("fails", [False, True])
def test_an_idle_pool_keeps_no_argument_alive(fails: bool) -> None:
    def task(thing: Thing) -> None:
        if fails:
            local = thing  # noqa: F841  # reachable from the traceback
            raise ValueError

    gc.disable()
    try:
        with WorkerPool(1, 1, on_error=lambda exc, fn: None) as pool:
            thing = Thing()
            reference = weakref.ref(thing)
            assert pool.submit(task, thing)
            del thing
            assert pool.join(LONG) and reference() is None
    finally:
        gc.enable()


def test_context_is_copied_on_request() -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    seen: list[str] = []

    def task() -> None:
        seen.append(variable.get())
        variable.set("changed")

    variable.set("submitter")
    with WorkerPool(1, 5, context=True) as pool:
        assert pool.submit(task) and pool.submit_wait(task, timeout=1)
    with WorkerPool(1, 5) as pool:
        assert pool.submit(task)
    assert seen == ["submitter", "submitter", "outside"]
    assert variable.get() == "submitter"


# submit_wait


def test_submit_wait_is_first_come_first_served() -> None:
    blocker, order = Blocker(), list[int]()
    with WorkerPool(1, 0) as pool:
        assert pool.submit(blocker)
        callers = []
        for number in range(5):
            caller = threading.Thread(
                target=pool.submit_wait, args=(order.append, number), kwargs={"timeout": LONG}
            )
            caller.start()
            callers.append(caller)
            assert until(lambda expected=number + 1: len(pool._state.waiters) == expected)
        assert not pool.submit(int), "nobody overtakes"
        blocker.release()
        for caller in callers:
            caller.join(LONG)
        assert pool.join(LONG)
    assert order == [0, 1, 2, 3, 4]


def test_submit_wait_gives_up() -> None:
    blocker = Blocker()
    with WorkerPool(1, 0) as pool:
        assert pool.submit(blocker)
        assert not pool.submit_wait(int, timeout=0) and not pool.submit_wait(int, timeout=0.01)
        assert pool.stats().rejected == 2 and not pool._state.waiters
        answers: list[bool] = []
        caller = threading.Thread(target=lambda: answers.append(pool.submit_wait(int, timeout=LONG)))
        caller.start()
        assert until(lambda: pool._state.waiters)
        assert not pool.shutdown(wait=False)
        caller.join(LONG)
        assert answers == [False]
        blocker.release()


# Ending


def test_after_shutdown_nothing_runs() -> None:
    ran: list[int] = []
    pool = WorkerPool(2, 100)
    assert all(pool.submit(ran.append, number) for number in range(100))
    assert pool.shutdown() and len(ran) == 100
    assert pool.closed and not pool.submit(ran.append, 1) and not pool.submit_wait(int, timeout=1)
    assert len(ran) == 100 and pool.shutdown() and pool.stats().rejected == 2
    with pytest.raises(RuntimeError, match="shut down"):
        pool.start()


def test_shutdown_of_a_pool_that_was_never_used() -> None:
    assert WorkerPool(3, 3).shutdown()


def test_all_callers_of_shutdown_wait() -> None:
    blocker, answers = Blocker(), list[bool]()
    pool = WorkerPool(1, 1)
    pool.submit(blocker)
    blocker.started()
    callers = [threading.Thread(target=lambda: answers.append(pool.shutdown())) for _ in range(5)]
    for caller in callers:
        caller.start()
    assert until(lambda: pool.closed) and not answers
    assert not pool.shutdown(timeout=0.01) and not pool.shutdown(wait=False)
    blocker.release()
    for caller in callers:
        caller.join(LONG)
    assert answers == [True] * 5


def test_drop_upgrades_a_running_drain() -> None:
    blocker, ran = Blocker(), list[int]()
    pool = WorkerPool(1, 5)
    pool.submit(blocker)
    blocker.started()
    assert all(pool.submit(ran.append, number) for number in range(5))
    drain = threading.Thread(target=pool.shutdown)
    drain.start()
    assert until(lambda: pool.closed)
    assert not pool.shutdown(wait=False, drain=False)
    assert pool.stats().dropped == 5
    blocker.release()
    drain.join(LONG)
    assert not drain.is_alive() and ran == [] and consistent(pool.stats())


def test_a_task_does_not_wait_for_itself() -> None:
    answers: list[object] = []

    def task(pool: WorkerPool) -> None:
        try:
            pool.join()
        except RuntimeError as exc:
            answers.append(str(exc))
        answers.append(pool.shutdown())
        answers.append(pool.submit(int))

    pool = WorkerPool(2, 2)
    assert pool.submit(task, pool)
    assert until(lambda: len(answers) == 3) and pool.shutdown()
    assert answers == ["pool: join() from a task of the pool would wait for itself", False, False]


def test_join_times_out_and_sees_the_end() -> None:
    blocker = Blocker()
    with WorkerPool(1, 1) as pool:
        assert pool.join(0)
        pool.submit(blocker)
        assert not pool.join(0) and not pool.join(0.01)
        blocker.release()
        assert pool.join(LONG)


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_with_body_that_raises(error: type[BaseException]) -> None:
    blocker, ran = Blocker(), list[int]()
    pool = WorkerPool(1, 3)
    with pytest.raises(error), pool:
        pool.submit(blocker)
        blocker.started()
        assert pool.submit(ran.append, 1)
        pool._state.lock.acquire()  # the running task cannot end before the exit has decided
        pool._state.lock.release()
        threading.Timer(0, lambda: (until(lambda: pool.closed), blocker.release())).start()
        raise error
    drained = issubclass(error, Exception)
    assert ran == ([1] if drained else []) and pool.stats().dropped == (0 if drained else 1)
    assert pool.stats().completed == (2 if drained else 1) and not pool._state.threads


def test_an_abandoned_pool_runs_its_queue_and_leaves() -> None:
    before, blocker, ran = set(threading.enumerate()), Blocker(), list[int]()
    pool = WorkerPool(2, 10)
    for _ in range(2):
        pool.submit(blocker)
    blocker.started(2)
    assert pool.submit(ran.append, 1)
    with pytest.warns(ResourceWarning, match=r"pool: WorkerPool was not shut down \(PoolStats\(submitted=3"):
        del pool
        gc.collect()
    blocker.release()
    assert gone(before) and ran == [1]


def test_an_abandoned_idle_pool_leaves() -> None:
    before = set(threading.enumerate())
    pool = WorkerPool(3, 1).start()
    with pytest.warns(ResourceWarning):
        del pool
        gc.collect()
    assert gone(before)
    WorkerPool(3, 1)  # never started: nothing to warn about


@pytest.mark.parametrize("copier", [pickle.dumps, copy.copy, copy.deepcopy])
def test_pools_do_not_travel(copier: Any) -> None:
    with pytest.raises(TypeError, match="create it in the child"):
        copier(WorkerPool(1, 1))


def test_threads_that_cannot_start(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    blocker, start = Blocker(), threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    pool = WorkerPool(3, 1)
    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match=r"pool: no worker thread can start \(can't start new thread\)"):
        pool.submit(int)
    with pytest.raises(RuntimeError, match="no worker thread"):
        pool.start()
    assert pool.stats().submitted == 0 and not pool._state.threads
    monkeypatch.setattr(threading.Thread, "start", start)
    assert pool.submit(blocker)
    blocker.started()
    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert pool.submit(blocker) and pool.submit(blocker), "one worker goes on with fewer"
    assert len(caplog.records) == 1 and "going on with 1 of 3 workers" in caplog.text
    monkeypatch.setattr(threading.Thread, "start", start)
    blocker.release()
    assert pool.shutdown() and pool.stats().completed == 3


def test_a_start_that_is_interrupted_leaves_no_ghost(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        raise KeyboardInterrupt

    pool = WorkerPool(1, 1)
    monkeypatch.setattr(threading.Thread, "start", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pool.submit(int)
    monkeypatch.setattr(threading.Thread, "start", start)
    assert pool.stats().submitted == 0 and pool.submit(int)
    assert pool.shutdown(timeout=LONG) and pool.stats().completed == 1


SUBINTERPRETER = """
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
code = '''
import threading
from perflint.runtime import WorkerPool
pool = WorkerPool(2, 10)
done = []
for number in range(10):
    assert pool.submit(done.append, number)
{end}
'''
interpreter = interpreters.create()
failed = interpreters.run_string(interpreter, code)
assert not failed, failed
interpreters.destroy(interpreter)
print("ended")
"""


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="isolated sub-interpreters cannot have threads before 3.12"
)
@pytest.mark.parametrize("end", ["assert pool.shutdown() and len(done) == 10", ""])
def test_subinterpreters_without_daemon_threads(end: str) -> None:
    ran = script(SUBINTERPRETER.replace("{end}", end))
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "ended\n", "")


def test_repr_and_stats_are_for_people() -> None:
    with WorkerPool(1, 1, name="mail") as pool:
        pool.submit(int)
        assert pool.join(LONG)
        assert repr(pool).startswith("<WorkerPool 'mail' open PoolStats(submitted=1, rejected=0, completed=1")
    assert "closed" in repr(pool) and isinstance(WorkerPool.__init__, types.FunctionType)
