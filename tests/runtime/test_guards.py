"""The contracts of `safe_run`, `guard`, `safe_await`, the done callbacks, `retry_submit` and the import itself."""

import asyncio
import concurrent.futures
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import trio
from runtime_helpers import LONG, ROOT, Blocker, script
from test_async_pool import nothing, run

import perflint.runtime
import perflint.runtime._guards as guards
from perflint.runtime import (
    AsyncWorkerPool,
    WorkerPool,
    aretry_submit,
    guard,
    log_future_exception,
    log_task_exception,
    retry_submit,
    safe_await,
    safe_run,
)

STOPS = [SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit]


@pytest.fixture(autouse=True)
def fresh_second(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test may log: the shared reporter's window is new."""
    monkeypatch.setattr(guards._shared, "_window", -1.0)
    monkeypatch.setattr(guards._shared, "_suppressed", 0)


def raising(error: type[BaseException]) -> None:
    raise error("boom")


def in_thread(fn: Callable[[], object]) -> object:
    """The result of `fn` in a thread, or the exception that it raised."""
    result: list[object] = []

    def target() -> None:
        try:
            result.append(fn())
        except BaseException as exc:
            result.append(exc)

    thread = threading.Thread(target=target)
    thread.start()
    thread.join(LONG)
    return result[0]


def test_safe_run(caplog: pytest.LogCaptureFixture) -> None:
    assert safe_run(int, "ff", base=16) == 255 and not caplog.records
    assert safe_run(int, "x") is None and safe_run(int, "x", default=7) == 7
    assert "perflint.runtime: int failed" in caplog.text and "invalid literal" in caplog.text
    seen: list[Any] = []
    safe_run(raising, ValueError, on_error=lambda *args: seen.append(args))
    assert [(type(exc), fn) for exc, fn in seen] == [(ValueError, raising)] and len(caplog.records) == 2


@pytest.mark.parametrize("error", STOPS)
def test_safe_run_stops_everything_only_in_threads(error: type[BaseException]) -> None:
    assert in_thread(lambda: safe_run(raising, error, default="stopped")) == "stopped"
    with pytest.raises(error):
        safe_run(raising, error)

    async def main() -> None:
        with pytest.raises(error):
            safe_run(raising, error)

    run(main())
    assert isinstance(in_thread(lambda: asyncio.run(main())), type(None))


def test_safe_run_refuses_what_it_cannot_run() -> None:
    for wrong in (3, nothing):
        with pytest.raises(TypeError, match="expected a"):
            safe_run(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="on_error must be callable"):
        safe_run(int, on_error=3)  # type: ignore[arg-type]


def test_guard(caplog: pytest.LogCaptureFixture) -> None:
    step = guard("step")
    for _ in range(2):  # used again, and inside itself
        with step:
            with step:
                raise ValueError("inner")
            raise LookupError("outer")
    assert [record.getMessage() for record in caplog.records] == ["perflint.runtime: step failed"] * 4
    seen: list[Any] = []
    with guard("label", on_error=lambda exc, label: seen.append(label)):
        raise ValueError
    assert seen == ["label"]
    with pytest.raises(TypeError, match="label must be a str"):
        guard(3)  # type: ignore[arg-type]


def guarded(error: type[BaseException]) -> str:
    with guard():
        raise error
    return "stopped"


@pytest.mark.parametrize("error", STOPS)
def test_guard_stops_everything_only_in_threads(error: type[BaseException]) -> None:
    answer = in_thread(lambda: guarded(error))
    assert answer == "stopped" or (error is GeneratorExit and isinstance(answer, GeneratorExit))
    with pytest.raises(error):
        guarded(error)

    async def main() -> None:
        with pytest.raises(error):
            guarded(error)
        assert guarded(ValueError) == "stopped"

    run(main())
    assert in_thread(lambda: asyncio.run(main())) is None


def test_guard_leaves_a_closed_generator_alone() -> None:
    def generator() -> Iterator[int]:
        with guard():
            yield 1
        yield 2  # a swallowed GeneratorExit would get here: RuntimeError

    def close() -> str:
        suspended = generator()
        next(suspended)
        suspended.close()
        return "closed"

    assert in_thread(close) == "closed"


@pytest.mark.parametrize("in_thread", [False, True])
def test_a_trio_task_can_be_cancelled_through_a_guard(in_thread: bool) -> None:
    reached: list[str] = []

    async def work() -> None:
        with guard("work"):
            await trio.sleep_forever()
        reached.append("the guard held it")

    async def main() -> None:
        with trio.move_on_after(0.01):
            await work()
        reached.append("cancelled")

    if in_thread:
        thread = threading.Thread(target=trio.run, args=(main,))
        thread.start()
        thread.join(LONG)
    else:
        trio.run(main)
    assert reached == ["cancelled"]


def test_a_cancelled_task_is_not_held_by_guard() -> None:
    async def main() -> None:
        async def loop() -> None:
            while True:
                with guard():
                    await asyncio.sleep(100)

        task = asyncio.create_task(loop())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.cancelled()

    run(main())


def test_safe_await(caplog: pytest.LogCaptureFixture) -> None:
    async def fails(error: type[BaseException]) -> None:
        raise error("boom")

    async def main() -> None:
        assert await safe_await(asyncio.sleep(0, 3)) == 3
        assert await safe_await(fails(ValueError), default=5) == 5 and "boom" in caplog.text
        seen: list[Any] = []
        assert await safe_await(fails(ValueError), on_error=lambda *args: seen.append(args)) is None
        assert isinstance(seen[0][0], ValueError) and len(caplog.records) == 1
        for error in STOPS:
            with pytest.raises(error):
                await safe_await(fails(error))

    run(main())


def test_done_callbacks(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise ValueError("in a task")

    async def main() -> None:
        tasks = [asyncio.create_task(fails(), name="sender"), asyncio.create_task(asyncio.sleep(100))]
        tasks.append(asyncio.create_task(nothing()))
        for task in tasks:
            with pytest.raises(RuntimeError, match="pass this function to add_done_callback"):
                log_task_exception(task)
            task.add_done_callback(log_task_exception)
        tasks[1].cancel()
        await asyncio.wait(tasks)

    run(main())
    assert [record.getMessage() for record in caplog.records] == ["perflint.runtime: sender failed"]
    assert "in a task" in caplog.text
    with concurrent.futures.ThreadPoolExecutor(1) as executor:
        blocker = Blocker()
        futures = [executor.submit(blocker), executor.submit(raising, SystemExit), executor.submit(int)]
        futures.append(executor.submit(int))
        with pytest.raises(RuntimeError, match="is not done"):
            log_future_exception(futures[0])
        for future in futures:
            future.add_done_callback(log_future_exception)
        assert futures[3].cancel()
        blocker.release()
    assert len(caplog.records) == 2 and "SystemExit" in caplog.text


def test_all_guards_share_one_rate(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guards._shared, "_clock", lambda: 1.0)
    for _ in range(20):
        safe_run(raising, ValueError)
        guarded(ValueError)
    assert len([record for record in caplog.records if record.levelno == logging.ERROR]) == 10


# retry_submit


class Scripted:
    """A pool that answers as told."""

    closed = False

    def __init__(self, *answers: bool) -> None:
        self.answers = list(answers)

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> bool:
        fn(*args, **kwargs)
        return self.answers.pop(0)


def test_retry_submit(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses, calls = list[float](), list[Any]()
    monkeypatch.setattr(time, "sleep", pauses.append)
    pool = Scripted(False, False, False, False, True)
    assert retry_submit(pool, lambda *a, **k: calls.append((a, k)), 1, attempts=5, base=0.1, cap=0.3, key=2)
    assert calls == [((1,), {"key": 2})] * 5 and len(pauses) == 4
    assert all(half / 2 <= pause <= half for pause, half in zip(pauses, (0.1, 0.2, 0.3, 0.3), strict=True))
    assert not retry_submit(Scripted(False, False, False), int) and len(pauses) == 6
    assert retry_submit(Scripted(True), int) and len(pauses) == 6
    closed = Scripted(False)
    closed.closed = True
    assert not retry_submit(closed, int) and len(pauses) == 6


def test_aretry_submit() -> None:
    async def main() -> None:
        assert await aretry_submit(Scripted(False, False, True), int, base=0)
        assert not await aretry_submit(Scripted(False, False), int, attempts=2, base=0)
        with pytest.raises(RuntimeError, match="aretry_submit"):
            retry_submit(Scripted(True), int)
        with pytest.raises(ValueError, match="at most 5"):
            await aretry_submit(Scripted(), int, attempts=6)
        async with AsyncWorkerPool(1, 0) as pool:
            assert await aretry_submit(pool, nothing) and await aretry_submit(pool, nothing)

    run(main())


def test_retry_submit_arguments() -> None:
    with pytest.raises(ValueError, match="attempts must be at most 5, got 6"):
        retry_submit(Scripted(), int, attempts=6)
    for bad in (0, True, 2.0):
        with pytest.raises(ValueError, match="attempts must be an int >= 1"):
            retry_submit(Scripted(), int, attempts=bad)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="base must be >= 0"):
        retry_submit(Scripted(), int, base=-1)
    with WorkerPool(1, 1) as pool:
        assert retry_submit(pool, int)


# The import


def test_the_import_loads_nothing_of_the_linter_and_no_asyncio() -> None:
    ran = script(
        """
import sys
import perflint.runtime
ours = sorted(name for name in sys.modules if name.startswith("perflint") and not name.startswith("perflint.runtime"))
print(ours, [name for name in ("asyncio", "logging", "inspect", "libcst", "click") if name in sys.modules])
print(sorted(set(perflint.runtime.__all__) - set(dir(perflint.runtime))))
import threading
print(threading.active_count())
"""
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout == "['perflint'] []\n['BoundedTaskGroup']\n1\n"


def test_every_public_name_is_there() -> None:
    for name in perflint.runtime.__all__:
        assert getattr(perflint.runtime, name) is getattr(perflint.runtime, name)
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        perflint.runtime.nonsense  # noqa: B018


@pytest.mark.skipif(not hasattr(os, "wait4"), reason="needs the CPU time of a child")
def test_the_import_is_cheap(tmp_path: Any) -> None:
    """It costs less than `import asyncio` does, in CPU time, which other processes disturb less than wall time."""
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONPYCACHEPREFIX": str(tmp_path)}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)

    def cost(code: str) -> float:
        process = subprocess.Popen([sys.executable, "-c", code], env=environ)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        return usage.ru_utime + usage.ru_stime

    cost("import perflint.runtime")  # writes the byte code
    cost("import asyncio")
    rounds = [(cost("import perflint.runtime"), cost("import asyncio")) for _ in range(8)]
    ours, theirs = (min(costs) for costs in zip(*rounds, strict=True))
    assert ours < theirs
