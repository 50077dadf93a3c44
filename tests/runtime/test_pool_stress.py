"""Races, signals, forks and exits of `WorkerPool`, and the proof that these checks can fail.

`pytest -m slow tests/runtime` runs the long form.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pool_checks
import pytest
from runtime_helpers import LONG, ROOT, Blocker, script, until

from perflint.runtime import WorkerPool

DETERMINISTIC = [
    "closed_is_checked_under_the_lock",
    "capacity",
    "isolation",
    "reentrance",
    "shutdown_inside_start",
    "waiting_inside_start",
    "submit_inside_admission",
    "stuck_exit",
]
posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and signals")


@pytest.mark.parametrize("check", DETERMINISTIC)
def test_check(check: str) -> None:
    if check == "stuck_exit":
        os.environ["PYTHONPATH"] = str(ROOT)
    getattr(pool_checks, check)(WorkerPool)


MUTANTS = [
    ("none", "isolation", True),
    ("none", "stuck_exit", True),
    ("no-try-in-worker", "isolation", False),
    ("closed-outside-lock", "closed_is_checked_under_the_lock", False),
    ("queue-length-admission", "capacity", False),
    ("plain-lock", "reentrance", False),
    ("start-before-register", "waiting_inside_start", False),
    ("no-second-look", "submit_inside_admission", False),
    ("non-daemon-without-atexit", "stuck_exit", False),
]


@pytest.fixture(scope="module")
def variants() -> Iterator[dict[str, subprocess.Popen[str]]]:
    """All variants at once: those that hang would take their time one after the other."""
    here = Path(__file__).parent
    env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{here}"}
    running = {}
    for variant, check, _ in MUTANTS:
        command = [sys.executable, str(here / "broken_pools.py"), variant, check]
        running[f"{variant} {check}"] = subprocess.Popen(
            command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
    yield running
    for process in running.values():
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("variant", "check", "passes"), MUTANTS)
def test_a_broken_pool_is_found(
    variants: dict[str, subprocess.Popen[str]], variant: str, check: str, passes: bool
) -> None:
    out, err = variants[f"{variant} {check}"].communicate(timeout=60)  # one that hangs ends itself
    assert (out == "passed\n") is passes, err
    assert "SyntaxError" not in err and "the source no longer" not in err and "ImportError" not in err, err


def test_race_of_submit_and_shutdown() -> None:
    assert pool_checks.race(WorkerPool)


@pytest.mark.slow
@pytest.mark.parametrize("interval", [5e-3, 1e-5])
def test_race_of_submit_and_shutdown_long(interval: float) -> None:
    sys.setswitchinterval(interval)
    assert pool_checks.race(WorkerPool, rounds=150)


@posix
def test_signals_that_submit() -> None:
    pool_checks.signals(WorkerPool)


@posix
@pytest.mark.slow
def test_signals_that_submit_long() -> None:
    pool_checks.signals(WorkerPool, seconds=2)


@posix
def test_signals_that_shut_down() -> None:
    pool_checks.shutdown_signals(WorkerPool)


@posix
@pytest.mark.slow
def test_signals_that_shut_down_long() -> None:
    pool_checks.shutdown_signals(WorkerPool, rounds=300)


# Forks


def in_child(pool: WorkerPool) -> int:
    """What the child of a fork finds; its exit status."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(20)
    if pool.stats() != (0,) * 8 or pool.closed or pool._state.threads:
        return 2
    done = threading.Event()
    if not pool.submit(done.set) or not done.wait(15):
        return 3
    if not pool.shutdown(timeout=15) or pool.stats()[:3] != (1, 0, 1):
        return 4
    return 0


@posix
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("forks", [10, pytest.param(30, marks=pytest.mark.slow)])
def test_forks_under_load(forks: int) -> None:
    stop, spin = threading.Event(), threading.Event()

    def hammer() -> None:
        while not stop.is_set():
            pool.submit(spin.wait, 0.0001)

    with WorkerPool(2, 20) as pool:
        hammering = threading.Thread(target=hammer)
        hammering.start()
        assert until(lambda: pool.stats().completed > 10)
        for _ in range(forks):
            child = os.fork()
            if not child:
                status = 9
                try:
                    status = in_child(pool)
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        stop.set()
        hammering.join(LONG)
    assert pool.stats().submitted == pool.stats().completed


@posix
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_closed_pool_stays_closed_in_the_child() -> None:
    blocker = Blocker()
    pool = WorkerPool(1, 1)
    assert pool.submit(blocker) and pool.submit(blocker)
    blocker.started(1)
    pool.shutdown(wait=False)
    child = os.fork()
    if not child:
        os._exit(0 if pool.closed and not pool.submit(int) and pool.shutdown() and pool.join() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    blocker.release()
    assert pool.shutdown() and pool.stats().completed == 2


@posix
def test_a_task_that_forks() -> None:
    ran = script(
        """
import os, sys, warnings
warnings.simplefilter("ignore")
from perflint.runtime import WorkerPool
pool = WorkerPool(1, 5)
statuses = []
def task():
    child = os.fork()
    if child:
        statuses.append(os.waitpid(child, 0)[1])
assert pool.submit(task) and pool.submit(statuses.append, "next")
assert pool.shutdown(timeout=20)
print(statuses)
"""
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "[0, 'next']\n", "")


# Exits


def test_exit_drains() -> None:
    ran = script(
        """
import sys, threading
from perflint.runtime import WorkerPool
free = threading.Event()
def task(number):
    free.wait()
    sys.stdout.write("ran\\n")
pool = WorkerPool(2, 18)
assert all(pool.submit(task, number) for number in range(20))
def release():
    while not pool.closed:
        free.wait(0.001)
    free.set()
threading.Thread(target=release, daemon=True).start()
"""
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "ran\n" * 20, "")


def test_tasks_that_submit_at_exit_get_false() -> None:
    ran = script(
        """
import atexit, sys
from perflint.runtime import WorkerPool
atexit.register(lambda: print("earlier hook", pool.submit(print, "lost"), WorkerPool(1, 1).submit(int)))
pool = WorkerPool(1, 5)
def task():
    while not pool.closed:
        pass
    print("task", pool.submit(print, "lost"))
pool.submit(task)
atexit.register(lambda: print("later hook", pool.submit(int)))
"""
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "later hook True\ntask False\nearlier hook False False\n"


def test_no_thread_can_start_at_interpreter_shutdown() -> None:
    """Some versions refuse new threads once the main thread has ended; other threads may still run then."""
    ran = script(
        """
import threading
from perflint.runtime import WorkerPool
pool = WorkerPool(1, 5)
def late():
    threading.main_thread().join()
    try:
        threading.Thread(target=int).start()
    except RuntimeError:
        print(pool.submit(int) is False)
    else:
        print(pool.submit(int) is True)
threading.Thread(target=late).start()
"""
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "True\n"


def test_exit_timeout_counts_once_per_process() -> None:
    ran = script(
        """
import threading, time, atexit
from perflint.runtime import WorkerPool
pools = [WorkerPool(1, 5, exit_timeout=0.5) for _ in range(10)]
begun = threading.Semaphore(0)
for pool in pools:
    pool.submit(lambda: (begun.release(), threading.Event().wait()))
for _ in pools:
    begun.acquire()
import perflint.runtime._exits as exits
at_exit, start = exits._at_exit, time.monotonic()
atexit.unregister(at_exit)
at_exit()
print(time.monotonic() - start < 3)
"""
    )
    assert (ran.returncode, ran.stdout) == (0, "True\n")
    assert ran.stderr == "pool: exit: 0 queued tasks lost, 1 still running\n" * 10


@posix
def test_ctrl_c_in_with_drops_the_queue() -> None:
    ran = script(
        """
import os, signal, threading
from perflint.runtime import WorkerPool
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
begun = threading.Event()
def task():
    begun.set()
    while not pool.closed:
        pass
    print("running task awaited")
try:
    with WorkerPool(1, 5) as pool:
        pool.submit(task)
        begun.wait()
        pool.submit(print, "queued")
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(20)
except KeyboardInterrupt:
    print("dropped", pool.stats().dropped)
"""
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "running task awaited\ndropped 1\n", "")


def test_spawned_processes_make_their_own() -> None:
    ran = script(
        """
import multiprocessing
from perflint.runtime import WorkerPool
if __name__ == "__main__":
    context = multiprocessing.get_context("spawn")
    try:
        context.Process(target=print, args=(WorkerPool(1, 1),)).start()
    except TypeError as exc:
        print(exc)
"""
    )
    assert (ran.returncode, ran.stdout) == (
        0,
        "a WorkerPool has threads and cannot be pickled; create it in the child\n",
    )
