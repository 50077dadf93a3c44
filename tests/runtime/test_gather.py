"""The contract of `bounded_gather`."""

import asyncio
import gc
import itertools
import random
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from test_async_pool import run, ticks

from perflint.runtime import bounded_gather

hypothesis = pytest.importorskip("hypothesis")
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402


class Meter:
    """Counts how many run, how many ever did, and how many were cancelled."""

    def __init__(self) -> None:
        self.now = self.most = self.started = self.cancelled = 0

    async def __call__(self, value: Any, turns: int = 1) -> Any:
        self.now += 1
        self.started += 1
        self.most = max(self.most, self.now)
        try:
            await ticks(turns)
            if isinstance(value, BaseException):
                raise value
            return value
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.now -= 1


async def arun(source: Any) -> AsyncIterator[Any]:
    for item in source:
        yield item
        await asyncio.sleep(0)


@pytest.mark.parametrize("wrap", [list, iter, arun], ids=["list", "iterator", "async"])
@pytest.mark.parametrize("limit", [1, 7, 100, 1000])
def test_order_and_limit(limit: int, wrap: Any) -> None:
    chance = random.Random(limit)

    async def main() -> None:
        meter = Meter()
        source = [meter(number, chance.randint(1, 5)) for number in range(500)]
        assert await bounded_gather(wrap(source), limit=limit) == list(range(500))
        assert meter.most == min(limit, 500) or (wrap is arun and meter.most <= limit)

    run(main())


def test_nothing_to_do() -> None:
    async def main() -> None:
        assert await bounded_gather([], limit=1) == await bounded_gather(iter(()), limit=1) == []
        assert await bounded_gather(arun([]), limit=1) == []

    run(main())


@pytest.mark.parametrize("bad", [0, -1, True, 2.0, None])
def test_limit_is_checked(bad: Any) -> None:
    async def main() -> None:
        with pytest.raises(ValueError, match="limit must be an int >= 1"):
            await bounded_gather([], limit=bad)
        with pytest.raises(ValueError, match="timeout must be >= 0"):
            await bounded_gather([], limit=1, timeout=-1)
        with pytest.raises(TypeError, match="item_timeout must be a number"):
            await bounded_gather([], limit=1, item_timeout="1")  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="expected an iterable of awaitables, got 3"):
            await bounded_gather(3, limit=1)  # type: ignore[call-overload]

    run(main())


@pytest.mark.parametrize("wrap", [iter, arun], ids=["iterator", "async"])
def test_first_failure_over_a_huge_source(wrap: Any) -> None:
    async def main() -> None:
        meter, pulled, closed = Meter(), 0, False

        def source() -> Iterator[Any]:
            nonlocal pulled, closed
            try:
                for number in range(10**9):
                    pulled += 1
                    yield meter(ValueError("boom") if number == 0 else number, 2 if number == 0 else 10_000)
            finally:
                closed = True

        with pytest.raises(ValueError, match="boom"):
            await bounded_gather(wrap(source()), limit=10)
        gc.collect()
        assert pulled <= 11 and meter.now == 0 and closed
        assert meter.cancelled == meter.started - 1

    run(main())


def test_failure_with_a_list_closes_what_was_not_started() -> None:
    async def main() -> None:
        meter = Meter()
        waiting = asyncio.create_task(asyncio.sleep(100))
        with pytest.raises(ValueError, match="boom"):
            await bounded_gather(
                [meter(ValueError("boom")), *(meter(1) for _ in range(50)), waiting], limit=2
            )
        assert waiting.cancelled() and meter.now == 0

    run(main())


@pytest.mark.parametrize("limit", [1, 5])
def test_failure_interrupts_a_source_that_waits(limit: int) -> None:
    async def main() -> None:
        closed = asyncio.Event()

        async def source() -> AsyncIterator[Any]:
            try:
                yield Meter()(ValueError("boom"))
                await asyncio.sleep(100)
                yield Meter()(1)
            finally:
                await asyncio.sleep(0)
                closed.set()

        with pytest.raises(ValueError, match="boom"):
            await bounded_gather(source(), limit=limit)
        assert closed.is_set()

    run(main())


@pytest.mark.parametrize("wrap", [iter, arun], ids=["iterator", "async"])
def test_a_source_that_raises_is_a_failure(wrap: Any) -> None:
    async def main() -> None:
        meter = Meter()

        def source() -> Iterator[Any]:
            yield meter(1, 1000)
            raise LookupError("source")

        with pytest.raises(LookupError, match="source"):
            await bounded_gather(wrap(source()), limit=5, return_exceptions=True)
        assert meter.now == 0

    run(main())


def test_an_item_that_cannot_be_awaited() -> None:
    async def main() -> None:
        with pytest.raises(TypeError, match="expected an awaitable, got 3"):
            await bounded_gather([Meter()(1, 100), 3, Meter()(1)], limit=5)  # type: ignore[list-item]

    run(main())


@pytest.mark.parametrize("wrap", [list, iter, arun], ids=["list", "iterator", "async"])
def test_timeout_cancels_everything(wrap: Any) -> None:
    async def main() -> None:
        meter = Meter()
        with pytest.raises(asyncio.TimeoutError):
            await bounded_gather(wrap([meter(1, 10**9) for _ in range(20)]), limit=5, timeout=0.02)
        assert meter.now == 0 and meter.cancelled == meter.started == 5

    async def closing() -> None:
        # an iterator over coroutines that exist cannot be told from an endless one: the caller closes them
        source = (Meter()(1, 10**9) for _ in itertools.count())
        with pytest.raises(asyncio.TimeoutError):
            await bounded_gather(source, limit=5, timeout=0.02)

    run(main() if wrap is list else closing())


def test_item_timeout() -> None:
    async def main() -> None:
        results = await bounded_gather(
            [asyncio.sleep(0, "quick"), asyncio.sleep(100)],
            limit=1,
            item_timeout=0.01,
            return_exceptions=True,
        )
        assert results[0] == "quick" and isinstance(results[1], asyncio.TimeoutError)
        with pytest.raises(asyncio.TimeoutError):
            await bounded_gather([asyncio.sleep(100)], limit=1, item_timeout=0.01)

    run(main())


@pytest.mark.parametrize("exceptions", [False, True])
@pytest.mark.parametrize("again", [False, True])
def test_cancelling_the_caller(exceptions: bool, again: bool) -> None:
    async def main() -> None:
        meter = Meter()

        async def cleans_up() -> None:
            try:
                await asyncio.sleep(100)
            finally:
                await ticks(20)

        items = [meter(1, 10**9) for _ in range(20)]
        caller = asyncio.create_task(
            bounded_gather([cleans_up(), *items], limit=5, return_exceptions=exceptions)
        )
        await ticks(5)
        caller.cancel()
        if again:
            await ticks(3)
            caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        assert meter.now == 0 and meter.cancelled == meter.started == 4

    run(main())


def test_exceptions_in_place() -> None:
    async def cancels() -> None:
        raise asyncio.CancelledError

    async def main() -> None:
        boom = ValueError("boom")
        results = await bounded_gather(
            [Meter()(1), Meter()(boom), cancels()], limit=2, return_exceptions=True
        )
        assert results[:2] == [1, boom] and isinstance(results[2], asyncio.CancelledError)

    run(main())


def test_a_child_that_cancels_itself_cancels_the_call() -> None:
    async def cancels() -> None:
        raise asyncio.CancelledError

    async def main() -> None:
        meter = Meter()
        with pytest.raises(asyncio.CancelledError):
            await bounded_gather([meter(1, 1000), cancels()], limit=2)
        assert meter.now == 0

    run(main())


def test_errors_of_siblings_during_cancellation_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def sibling() -> None:
        try:
            await asyncio.sleep(100)
        finally:
            raise KeyError("sibling")

    async def main() -> None:
        with pytest.raises(ValueError, match="first"):
            await bounded_gather([sibling(), Meter()(ValueError("first"))], limit=2)

    run(main())
    assert "KeyError: 'sibling'" in caplog.text and "first" not in caplog.text


def test_tasks_and_duplicates() -> None:
    async def main() -> None:
        task, coro = asyncio.create_task(Meter()("task")), Meter()("coroutine")
        done = asyncio.get_running_loop().create_future()
        done.set_result("done")
        results = await bounded_gather([task, coro, done, task, coro], limit=1)
        assert results == ["task", "coroutine", "done", "task", "coroutine"]
        assert await bounded_gather((each for each in (task, task)), limit=1) == ["task", "task"]

    run(main())


def test_own_task_and_context() -> None:
    import contextvars

    variable = contextvars.ContextVar("variable", default=0)

    async def item(number: int) -> Any:
        variable.set(variable.get() + number)
        return asyncio.current_task(), variable.get()

    async def main() -> None:
        variable.set(10)
        results = await bounded_gather([item(1), item(2)], limit=2)
        assert len({task for task, _ in results}) == 2 and [value for _, value in results] == [11, 12]
        assert variable.get() == 10

    run(main())


outcomes = st.lists(st.one_of(st.integers(), st.just("raise")), max_size=12)


@settings(max_examples=15, deadline=None)
@given(outcomes, st.integers(0, 5), st.booleans())
def test_parity_with_gather(values: list[Any], more: int, exceptions: bool) -> None:
    async def item(value: Any) -> Any:
        await asyncio.sleep(0)
        if value == "raise":
            raise ValueError(value)
        return value

    async def outcome(gather: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            return [repr(r) for r in await gather(*args, return_exceptions=exceptions, **kwargs)]
        except ValueError as exc:
            return repr(exc)

    async def main() -> None:
        bounded = await outcome(bounded_gather, [item(v) for v in values], limit=max(1, len(values) + more))
        assert bounded == await outcome(asyncio.gather, *[item(v) for v in values])
        await ticks(3)

    run(main())
