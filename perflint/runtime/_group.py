"""`BoundedTaskGroup`: asyncio.TaskGroup with a slot taken before each spawn (Python 3.11 and later)."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from ._checks import check_count, check_job

if TYPE_CHECKING:
    import asyncio

    R = TypeVar("R")

    if sys.version_info >= (3, 11):
        GroupBase = asyncio.TaskGroup
    else:

        class GroupBase:
            async def __aenter__(self) -> Any: ...
            async def __aexit__(self, *raised: Any) -> None: ...

    class BoundedTaskGroup(GroupBase):
        def __init__(self, limit: int) -> None: ...
        async def spawn(
            self, func: Callable[..., Coroutine[Any, Any, R]], /, *args: Any, **kwargs: Any
        ) -> asyncio.Task[R]: ...


def __getattr__(name: str) -> Any:
    """Make `BoundedTaskGroup` when it is first asked for: its base class costs the import of asyncio."""
    if name == "BoundedTaskGroup":
        return make_group_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


if sys.version_info >= (3, 11):

    @functools.cache
    def make_group_class() -> Any:
        import asyncio

        class BoundedTaskGroup(asyncio.TaskGroup):
            """A TaskGroup in which at most `limit` spawned tasks are alive.

            `await group.spawn(func, *args)` waits for a slot, then calls `func` and starts its coroutine as a task.
            The slot is free again when the task ends. Tasks made by `create_task` are not counted. Python 3.11+.

            Raises ValueError if `limit` is not an int of at least 1, TypeError if `func` is no coroutine function.
            """

            def __init__(self, limit: int) -> None:
                super().__init__()
                self._slots = asyncio.Semaphore(check_count("limit", limit, 1))

            async def spawn(self, func: Any, /, *args: Any, **kwargs: Any) -> Any:
                check_job(func)
                await self._slots.acquire()
                coro: Any = None
                try:
                    coro = func(*args, **kwargs)
                    if not asyncio.iscoroutine(coro):
                        raise TypeError(
                            f"expected a coroutine function, got {func!r}, which returned {coro!r}"
                        )
                    task = self.create_task(coro)
                except BaseException:
                    self._slots.release()
                    if asyncio.iscoroutine(coro):
                        coro.close()
                    raise
                task.add_done_callback(lambda _: self._slots.release())
                return task

        BoundedTaskGroup.__module__, BoundedTaskGroup.__qualname__ = __name__, "BoundedTaskGroup"
        return BoundedTaskGroup

else:

    @functools.cache
    def make_group_class() -> Any:
        class BoundedTaskGroup:
            """Needs asyncio.TaskGroup, so Python 3.11."""

            def __init__(self, limit: int) -> None:
                raise RuntimeError("BoundedTaskGroup needs Python 3.11; use bounded_gather before that")

        return BoundedTaskGroup
