"""The contract of `AsyncWorkerPool`, row by row."""

import asyncio
import contextlib
import contextvars
import gc
import logging
import pickle
import sys
import threading
from collections.abc import Coroutine
from typing import Any

import pytest
from runtime_helpers import consistent, script

from perflint.runtime import AsyncWorkerPool


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """asyncio.run that fails if `main` leaves a task behind or the loop meets an unhandled error."""

    async def alone() -> Any:
        errors: list[Any] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: errors.append(context))
        result = await asyncio.wait_for(main, 30)
        assert len(asyncio.all_tasks()) == 1 and not errors, (asyncio.all_tasks(), errors)
        return result

    result = asyncio.run(alone())
    gc.collect()
    return result


async def nothing() -> None: ...


async def ticks(count: int = 3) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_capacity_is_exact() -> None:
    async def main() -> None:
        free = asyncio.Event()
        async with AsyncWorkerPool(3, 2) as pool:
            assert [pool.submit(free.wait) for _ in range(7)] == [True] * 5 + [False] * 2
            await ticks()
            assert pool.stats()[-3:-1] == (2, 3) and not pool.submit(nothing)
            free.set()
            await pool.join()
            assert pool.stats() == (5, 3, 5, 0, 0, 0, 0, 0)
        empty = AsyncWorkerPool(1, 0)
        assert [empty.submit(nothing) for _ in range(2)] == [True, False]
        assert await empty.shutdown() and not empty.submit(nothing) and await empty.shutdown()

    run(main())


def test_no_more_than_workers_run_at_once() -> None:
    async def main() -> None:
        now = most = ran = 0

        async def job(turns: int) -> None:
            nonlocal now, most, ran
            now += 1
            most = max(most, now)
            await ticks(turns)
            now -= 1
            ran += 1

        async with AsyncWorkerPool(4, 1000) as pool:
            for number in range(500):
                assert pool.submit(job, 1 + number % 5)
        assert (most, ran) == (4, 500)

    run(main())


def test_arguments_are_checked() -> None:
    async def hook(exc: BaseException, fn: object) -> None: ...

    async def stream() -> Any:
        yield 1

    async def main() -> None:
        for bad in (0, -1, True, 1.5, None):
            with pytest.raises(ValueError, match="workers must be an int >= 1"):
                AsyncWorkerPool(bad, 1)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="queue_size must be an int >= 0"):
            AsyncWorkerPool(1, -1)
        with pytest.raises(TypeError, match="on_error must be a plain function"):
            AsyncWorkerPool(1, 1, on_error=hook)
        with pytest.raises(ValueError, match="task_timeout"):
            AsyncWorkerPool(1, 1, task_timeout=-1)
        async with AsyncWorkerPool(1, 1) as pool:
            with pytest.raises(TypeError, match="pass the function"):
                pool.submit(nothing())  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="pass the function"):
                await pool.submit_wait(nothing(), timeout=1)  # type: ignore[arg-type]
            for wrong in (None, 3, stream):
                with pytest.raises(TypeError, match="expected a coroutine function"):
                    pool.submit(wrong)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="timeout must be a number"):
                await pool.submit_wait(nothing, timeout=None)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="create it in the child"):
                pickle.dumps(pool)
            assert pool.stats().submitted == 0

    run(main())


def test_a_plain_function_is_a_failed_job(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with AsyncWorkerPool(1, 1) as pool:
            assert pool.submit(lambda: 1)  # type: ignore[arg-type,return-value]
        assert pool.stats().failed == 1

    run(main())
    assert "can't be used in 'await' expression" in caplog.text


def test_storm() -> None:
    """1000 fail, 1000 cancel themselves, 1000 await a cancelled future; 100 more all run."""

    async def fails() -> None:
        raise ValueError

    async def cancels() -> None:
        task = asyncio.current_task()
        assert task
        task.cancel()
        await asyncio.sleep(10)

    async def awaits_cancelled() -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    async def main() -> None:
        seen: list[tuple[type[BaseException], object]] = []
        async with AsyncWorkerPool(5, 4000, on_error=lambda exc, fn: seen.append((type(exc), fn))) as pool:
            for number in range(3000):
                assert pool.submit((fails, cancels, awaits_cancelled)[number % 3])
            ran: list[int] = []

            async def job(number: int) -> None:
                ran.append(number)

            for number in range(100):
                assert pool.submit(job, number)
            await pool.join()
            stats = pool.stats()
        assert (stats.failed, stats.cancelled, stats.completed) == (1000, 2000, 100) and consistent(stats)
        assert seen == [(ValueError, fails)] * 1000 and ran == list(range(100))

    run(main())


def test_failures_are_logged_at_a_bounded_rate(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise ValueError("boom")

    async def main() -> None:
        pool = AsyncWorkerPool(4, 500, name="mail")
        pool._reporter._clock = lambda: 1.0
        for _ in range(200):
            assert pool.submit(fails)
        assert await pool.shutdown()
        await pool.shutdown()

    run(main())
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 10 and "boom" in caplog.text
    assert caplog.records[-1].getMessage() == "mail: 190 failures suppressed"


def test_a_broken_hook_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fails() -> None:
        raise ValueError("boom")

    def hook(exc: BaseException, fn: object) -> None:
        raise KeyError("hook")

    async def main() -> None:
        async with AsyncWorkerPool(1, 1, on_error=hook) as pool:
            pool.submit(fails)

    run(main())
    assert "pool: on_error failed for" in caplog.text


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_stops_are_left_to_asyncio(error: type[BaseException]) -> None:
    async def stops() -> None:
        raise error

    async def main() -> None:
        async with AsyncWorkerPool(1, 1) as pool:
            pool.submit(stops)
            await asyncio.Event().wait()

    with pytest.raises(error):
        asyncio.run(main())


def test_a_hook_that_stops_the_loop_leaves_the_pool_whole() -> None:
    pools: list[AsyncWorkerPool] = []

    def hook(exc: BaseException, fn: object) -> None:
        raise SystemExit(3)

    async def fails() -> None:
        raise ValueError

    async def main() -> None:
        async with AsyncWorkerPool(1, 5, on_error=hook) as pool:
            pools.append(pool)
            assert pool.submit(fails) and pool.submit(nothing)
            await asyncio.Event().wait()

    with pytest.raises(SystemExit):
        asyncio.run(main())
    stats = pools[0].stats()
    assert (stats.failed, stats.active, stats.queued) == (1, 0, 0) and consistent(stats)


def test_task_timeout() -> None:
    async def main() -> None:
        seen: list[BaseException] = []
        async with AsyncWorkerPool(
            1, 5, task_timeout=0.01, on_error=lambda exc, fn: seen.append(exc)
        ) as pool:
            assert pool.submit(asyncio.sleep, 100) and pool.submit(nothing)
        assert pool.stats().failed == pool.stats().completed == 1
        assert isinstance(seen[0], asyncio.TimeoutError)

    run(main())


def test_submit_wait_is_first_come_first_served() -> None:
    async def main() -> None:
        free, order = asyncio.Event(), list[int]()

        async def job(number: int) -> None:
            order.append(number)

        async with AsyncWorkerPool(1, 0) as pool:
            assert await pool.submit_wait(free.wait, timeout=0)
            callers = [asyncio.create_task(pool.submit_wait(job, number, timeout=30)) for number in range(5)]
            await ticks()
            assert not pool.submit(nothing), "nobody overtakes"
            callers[2].cancel()
            free.set()
            assert await asyncio.gather(*callers, return_exceptions=True) != [True] * 5
            await pool.join()
        assert order == [0, 1, 3, 4]

    run(main())


def test_submit_wait_gives_up() -> None:
    async def main() -> None:
        free = asyncio.Event()
        pool = AsyncWorkerPool(1, 0)
        assert pool.submit(free.wait)
        assert not await pool.submit_wait(nothing, timeout=0)
        assert not await pool.submit_wait(nothing, timeout=0.001)
        waiting = asyncio.create_task(pool.submit_wait(nothing, timeout=30))
        await ticks()
        ending = asyncio.create_task(pool.shutdown())
        assert not await waiting
        free.set()
        assert await ending and pool.stats().rejected == 3 and not pool._waiters

    run(main())


def test_shutdown_that_times_out_cancels_and_drops() -> None:
    async def main() -> None:
        pool = AsyncWorkerPool(2, 5)
        for _ in range(5):
            assert pool.submit(asyncio.sleep, 100)
        await ticks()
        assert await pool.shutdown(timeout=0.01)
        assert (pool.stats().cancelled, pool.stats().dropped) == (2, 3) and consistent(pool.stats())

    run(main())


def test_a_cancelled_shutdown_cancels_and_drops() -> None:
    async def main() -> None:
        pool = AsyncWorkerPool(1, 5)
        for _ in range(3):
            assert pool.submit(asyncio.sleep, 100)
        ending = asyncio.create_task(pool.shutdown())
        await ticks()
        ending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await ending
        assert (pool.stats().cancelled, pool.stats().dropped, pool.stats().active) == (1, 2, 0)

    run(main())


def test_jobs_that_swallow_their_cancellation(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("perflint.runtime._async_pool._GRACE", 0.01)

    async def main() -> None:
        free = asyncio.Event()

        async def stubborn() -> None:
            while not free.is_set():
                with contextlib.suppress(asyncio.CancelledError):
                    await free.wait()

        pool = AsyncWorkerPool(1, 1)
        assert pool.submit(stubborn)
        await ticks()
        assert not await pool.shutdown(timeout=0)
        assert caplog.records[-1].getMessage() == "pool: shutdown: 1 jobs ignore their cancellation"
        free.set()
        assert await pool.shutdown() and pool.stats().completed == 1

    run(main())


def test_drop_upgrades_a_running_drain() -> None:
    async def main() -> None:
        free = asyncio.Event()
        pool = AsyncWorkerPool(1, 5)
        for _ in range(4):
            assert pool.submit(free.wait)
        drain = asyncio.create_task(pool.shutdown())
        await ticks()
        drop = asyncio.create_task(pool.shutdown(drain=False))
        await ticks()
        free.set()
        assert await drain and await drop
        assert (pool.stats().completed, pool.stats().dropped) == (1, 3)

    run(main())


def test_a_job_does_not_wait_for_itself() -> None:
    async def main() -> None:
        pool = AsyncWorkerPool(1, 1)
        answers: list[object] = []

        async def job() -> None:
            with pytest.raises(RuntimeError, match="wait for itself"):
                await pool.join()
            answers.append(await pool.shutdown())
            answers.append(pool.submit(nothing))

        assert pool.submit(job)
        while not pool.closed:
            await ticks()
        assert await pool.shutdown() and answers == [False, False]

    run(main())


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
def test_with_body_that_raises_drops_the_queue(error: type[BaseException]) -> None:
    async def main() -> None:
        free = asyncio.Event()
        with pytest.raises(error):
            async with AsyncWorkerPool(1, 5) as pool:
                assert pool.submit(free.wait) and pool.submit(nothing)
                asyncio.get_running_loop().call_soon(free.set)
                raise error
        assert (pool.stats().completed, pool.stats().dropped) == (1, 1)

    run(main())


def test_other_threads_and_loops_are_told_the_way() -> None:
    async def main() -> AsyncWorkerPool:
        seen: list[str] = []

        def elsewhere() -> None:
            try:
                pool.submit(nothing)
            except RuntimeError as exc:
                seen.append(str(exc))

        async with AsyncWorkerPool(1, 1) as pool:
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
            assert "loop.call_soon_threadsafe" in seen[0]
            ran = asyncio.Event()

            async def job() -> None:
                ran.set()

            asyncio.get_running_loop().call_soon_threadsafe(pool.submit, job)
            await ran.wait()
        return pool

    pool = run(main())

    async def other() -> None:
        for call in (pool.join, pool.shutdown):
            with pytest.raises(RuntimeError, match="thread of its event loop"):
                await call()

    run(other())


def test_a_loop_that_closes_without_shutdown() -> None:
    started: list[int] = []

    async def job(number: int) -> None:
        started.append(number)
        await asyncio.sleep(100)

    async def main() -> AsyncWorkerPool:
        pool = AsyncWorkerPool(2, 10)
        for number in range(6):
            assert pool.submit(job, number)
        await ticks()
        return pool

    pool = asyncio.run(main())
    assert started == [0, 1], "no queued job starts on a loop that closes"
    assert (pool.stats().cancelled, pool.stats().dropped) == (2, 4) and pool.closed
    with pytest.warns(
        ResourceWarning, match=r"pool: AsyncWorkerPool was not shut down .*dropped=4.*cancelled=2"
    ):
        del pool
        gc.collect()


def test_context_is_the_submitters() -> None:
    variable = contextvars.ContextVar("variable", default="outside")
    seen: list[str] = []

    async def job() -> None:
        seen.append(variable.get())
        variable.set("changed")

    async def main() -> None:
        async with AsyncWorkerPool(1, 10) as pool:
            for name in ("first", "second", "third"):
                variable.set(name)
                assert pool.submit(job)
            variable.set("waiter")
            assert await pool.submit_wait(job, timeout=1)

    run(main())
    assert seen == ["first", "second", "third", "waiter"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
def test_eager_tasks() -> None:
    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
        most = 0

        async def nested(depth: int) -> None:
            nonlocal most
            most = max(most, pool.stats().active)
            if depth:
                assert pool.submit(nested, depth - 1)

        async with AsyncWorkerPool(2, 5) as pool:
            assert pool.submit(nothing) and pool.submit(nothing) and pool.submit(nothing)
            await pool.join()
            assert pool.submit(nested, 50)
            await pool.join()
        assert pool.stats().completed == 54 and most <= 2
        asyncio.get_running_loop().set_task_factory(None)

    run(main())


def test_nothing_is_said_when_a_job_outlives_its_welcome() -> None:
    """No "never awaited", no "was destroyed but it is pending" at the end of a program that forgot the shutdown."""
    ran = script(
        """
import asyncio
from perflint.runtime import AsyncWorkerPool
async def main():
    pool = AsyncWorkerPool(1, 5)
    for _ in range(4):
        pool.submit(asyncio.sleep, 100)
    pool._ended = True
    await asyncio.sleep(0)
asyncio.run(main())
"""
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
