"""The contracts of `bounded_stream`, `bounded_map` and `BoundedTaskGroup`."""

import asyncio
import concurrent.futures
import gc
import itertools
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from runtime_helpers import LONG, Blocker
from test_async_pool import run, ticks
from test_gather import Meter, arun

from perflint.runtime import BoundedTaskGroup, bounded_map, bounded_stream

# bounded_stream


@pytest.mark.parametrize("wrap", [list, iter, arun], ids=["list", "iterator", "async"])
@pytest.mark.parametrize("limit", [1, 4, 200])
def test_stream_order_and_limit(limit: int, wrap: Any) -> None:
    async def main() -> None:
        meter = Meter()

        async def func(number: int) -> int:
            return int(await meter(number, number % 7))

        assert [each async for each in bounded_stream(func, wrap(range(100)), limit=limit)] == list(
            range(100)
        )
        assert meter.most <= limit
        found = [each async for each in bounded_stream(func, wrap(range(100)), limit=limit, ordered=False)]
        assert sorted(found) == list(range(100)) and meter.most <= limit
        assert [each async for each in bounded_stream(func, wrap([]), limit=limit)] == []

    run(main())


def test_unordered_results_come_as_they_finish() -> None:
    async def main() -> None:
        gates = [asyncio.Event() for _ in range(3)]

        async def func(number: int) -> int:
            await gates[number].wait()
            return number

        stream = bounded_stream(func, range(3), limit=3, ordered=False)
        for number in (2, 0, 1):
            gates[number].set()
            assert await stream.__anext__() == number
        with pytest.raises(StopAsyncIteration):
            await stream.__anext__()

    run(main())


@pytest.mark.parametrize("ordered", [True, False])
def test_a_slow_consumer_slows_an_endless_source(ordered: bool) -> None:
    async def main() -> None:
        pulled, meter = itertools.count(), Meter()
        stream = bounded_stream(meter, pulled, limit=5, ordered=ordered)
        for number in range(20):
            assert await stream.__anext__() == number
            await ticks(20)
        assert next(pulled) <= 20 + 5
        await stream.aclose()
        assert meter.now == 0

    run(main())


@pytest.mark.parametrize("wrap", [iter, arun], ids=["iterator", "async"])
def test_stream_close_cancels_and_awaits(wrap: Any) -> None:
    async def main() -> None:
        meter = Meter()

        async def func(number: int) -> Any:
            return await meter(number, 1 if number == 0 else 10**9)

        stream = bounded_stream(func, wrap(itertools.count()), limit=4)
        async for first in stream:
            assert first == 0
            break
        await ticks(10)
        await stream.aclose()
        assert meter.now == 0 and meter.cancelled == meter.started - 1 > 0

    run(main())


def test_stream_failure_comes_in_its_turn() -> None:
    async def main() -> None:
        meter, seen = Meter(), list[int]()

        async def func(number: int) -> Any:
            return await meter(ValueError("boom") if number == 2 else number, 10_000 if number > 2 else 1)

        with pytest.raises(ValueError, match="boom"):
            async for each in bounded_stream(func, itertools.count(), limit=5):
                seen.append(each)
        assert seen == [0, 1] and meter.now == 0

    run(main())


@pytest.mark.parametrize("wrap", [iter, arun], ids=["iterator", "async"])
def test_stream_source_that_raises(wrap: Any) -> None:
    def source() -> Iterator[int]:
        yield 1
        raise LookupError("source")

    async def main() -> None:
        seen = []
        with pytest.raises(LookupError, match="source"):
            async for each in bounded_stream(Meter(), wrap(source()), limit=5):
                seen.append(each)
        assert seen == [1]

    run(main())


def test_cancelling_the_consumer_of_a_stream() -> None:
    async def main() -> None:
        meter, closed = Meter(), asyncio.Event()

        async def source() -> AsyncIterator[int]:
            try:
                yield 1
                await asyncio.sleep(100)
            finally:
                closed.set()

        async def consume() -> None:
            async for _ in bounded_stream(meter, source(), limit=2):
                pass

        consumer = asyncio.create_task(consume())
        await ticks(10)
        consumer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consumer
        assert closed.is_set() and meter.now == 0

    run(main())


def test_stream_arguments_are_checked_at_the_call() -> None:
    with pytest.raises(ValueError, match="limit must be an int >= 1, got 0"):
        bounded_stream(Meter(), [], limit=0)
    with pytest.raises(TypeError, match="func must be callable"):
        bounded_stream(3, [], limit=1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="source must be iterable"):
        bounded_stream(Meter(), 3, limit=1)  # type: ignore[arg-type]


# bounded_map


def test_map_is_ordered_and_bounded() -> None:
    pulled = itertools.count()
    with ThreadPoolExecutor(4) as executor:
        results = bounded_map(executor, pow, pulled, itertools.repeat(2), buffersize=6)
        assert next(pulled) == 6, "the first calls are submitted at once"
        assert [next(results) for _ in range(3)] == [0, 1, 4]
        assert next(pulled) == 10, "then one per result"
        results.close()
        assert list(results) == []
        assert list(bounded_map(executor, pow, range(50), [2] * 50, buffersize=7)) == [
            n * n for n in range(50)
        ]
        assert list(bounded_map(executor, int, [], buffersize=1)) == []


def test_map_failure_and_timeout_cancel_the_rest() -> None:
    blocker = Blocker()
    with ThreadPoolExecutor(1) as executor:
        results = bounded_map(executor, lambda x: 1 / x, [1, 0, 1, 1], buffersize=4)
        assert next(results) == 1.0
        with pytest.raises(ZeroDivisionError):
            next(results)
        assert list(results) == []
        stuck = bounded_map(executor, blocker, range(5), buffersize=3, timeout=0.01)
        futures = list(stuck._futures)
        with pytest.raises(concurrent.futures.TimeoutError):
            next(stuck)
        assert [future.cancelled() for future in futures[1:]] == [True, True]
        blocker.release()


def test_map_that_is_dropped_cancels_the_rest() -> None:
    blocker = Blocker()
    with ThreadPoolExecutor(1) as executor:
        results = bounded_map(executor, blocker, range(5), buffersize=3)
        futures = list(results._futures)
        blocker.started()
        del results
        gc.collect()
        assert futures[2].cancelled()
        blocker.release()


def test_map_when_the_executor_is_shut_down() -> None:
    executor = ThreadPoolExecutor(1)
    results = bounded_map(executor, int, range(5), buffersize=2)
    executor.shutdown()
    assert next(results) == 0
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        next(results)
    assert list(results) == []
    with pytest.raises(RuntimeError, match="cannot schedule"):
        bounded_map(executor, int, range(5), buffersize=2)


def test_map_source_that_raises() -> None:
    def source() -> Iterator[int]:
        yield 1
        yield 2
        raise LookupError("source")

    with ThreadPoolExecutor(1) as executor:
        results = bounded_map(executor, int, source(), buffersize=2)
        assert next(results) == 1
        with pytest.raises(LookupError, match="source"):
            next(results)


def test_map_arguments_are_checked() -> None:
    async def coroutine_function() -> None: ...

    with ThreadPoolExecutor(1) as executor:
        for bad in (0, -1, True, None):
            with pytest.raises(ValueError, match="buffersize must be an int >= 1"):
                bounded_map(executor, int, [], buffersize=bad)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="expected a plain function"):
            bounded_map(executor, coroutine_function, [], buffersize=1)
        with pytest.raises(TypeError, match="executor must have submit"):
            bounded_map([], int, [], buffersize=1)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="timeout"):
            bounded_map(executor, int, [], buffersize=1, timeout=-1)


# BoundedTaskGroup

groups = pytest.mark.skipif(sys.version_info < (3, 11), reason="needs asyncio.TaskGroup")


@pytest.mark.skipif(sys.version_info >= (3, 11), reason="before asyncio.TaskGroup")
def test_no_group_before_3_11() -> None:
    with pytest.raises(RuntimeError, match=r"needs Python 3\.11"):
        BoundedTaskGroup(1)


@groups
def test_group_bounds_what_is_spawned() -> None:
    async def main() -> None:
        meter = Meter()
        async with BoundedTaskGroup(5) as group:
            assert isinstance(group, asyncio.TaskGroup)  # type: ignore[attr-defined]
            tasks = [await group.spawn(meter, number, 1 + number % 4) for number in range(100)]
        assert [task.result() for task in tasks] == list(range(100)) and meter.most == 5

    run(main())


@groups
def test_group_failure_ends_an_endless_spawner() -> None:
    async def main() -> None:
        meter, spawned = Meter(), 0
        try:
            async with BoundedTaskGroup(3) as group:
                for number in range(10**9):
                    await group.spawn(
                        meter, ValueError("boom") if number == 1 else 1, 2 if number == 1 else 10**6
                    )
                    spawned += 1
        except BaseException as exc:
            assert [repr(each) for each in exc.exceptions] == ["ValueError('boom')"]  # type: ignore[attr-defined]
        assert spawned == 3 and meter.now == 0

    run(main())


@groups
def test_group_gives_the_slot_back() -> None:
    async def main() -> None:
        async with BoundedTaskGroup(1) as group:
            for _ in range(3):
                with pytest.raises(TypeError, match="which returned 0"):
                    await group.spawn(int)  # type: ignore[arg-type]
                with pytest.raises(TypeError, match="pass the function"):
                    await group.spawn(ticks())  # type: ignore[arg-type]
            await group.spawn(ticks)
            waiting = asyncio.create_task(group.spawn(ticks))
            waiting.cancel()
            await asyncio.wait([waiting])
            await group.spawn(ticks)
        with pytest.raises(RuntimeError):
            await group.spawn(ticks)
        for bad in (0, True, None):
            with pytest.raises(ValueError, match="limit must be an int >= 1"):
                BoundedTaskGroup(bad)  # type: ignore[arg-type]

    run(main())


def test_map_from_many_threads_is_not_needed_but_harmless() -> None:
    with ThreadPoolExecutor(2) as executor:
        seen = list[int]()
        thread = threading.Thread(
            target=lambda: seen.extend(bounded_map(executor, int, range(9), buffersize=2))
        )
        thread.start()
        thread.join(LONG)
    assert seen == list(range(9))
