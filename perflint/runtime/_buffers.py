"""`BufferPool`: large buffers that are used again instead of made anew."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from ._checks import check_count, check_seconds
from ._forks import survive_fork

if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from types import TracebackType


class BufferPool:
    """At most `count` bytearrays of `size` bytes, all zero when they are handed out. Any thread may use it.

    Memory is bounded by `count * size` bytes and stays with the pool. A buffer belongs to one holder from `acquire`
    to `release`; use the block of `buffer`, and keep no reference beyond it.

    size   bytes of each buffer, at least 1
    count  buffers that may exist, at least 1; made on demand

    It pays from 32 MiB on, where glibc takes every fresh buffer from the kernel: then a fresh one costs 4 times as much
    CPU time or more, filled whole. At 16 MiB they are about even, at 1 MiB and below a fresh one costs half as much
    (`bench/buffers.py`, x86_64 Linux; figures in `docs/runtime.md`).

    Raises ValueError for sizes out of range.
    """

    def __init__(self, size: int, count: int) -> None:
        self.size = check_count("size", size, 1)
        self.count = check_count("count", count, 1)
        self._zeros = bytes(self.size)  # costs nearly no memory: its pages are all the kernel's page of zeros
        self._changed = threading.Condition()
        self._free: list[bytearray] = []
        self._held: dict[int, bytearray] = {}
        self._inherited: dict[
            int, bytearray
        ] = {}  # held at a fork: returned or not, they do not count any more
        survive_fork(self)

    def buffer(self, timeout: float = 0.0) -> AbstractContextManager[bytearray]:
        """`with pool.buffer() as buffer:` acquires one and releases it at the end of the block."""
        return _Lent(self, check_seconds("timeout", timeout))

    def acquire(self, timeout: float = 0.0) -> bytearray:
        """A buffer of zeros; TimeoutError if all are in use for `timeout` seconds."""
        seconds = check_seconds("timeout", timeout)
        with self._changed:
            if len(self._held) >= self.count and not self._wait(seconds):
                raise TimeoutError(f"all {self.count} buffers are in use; release some, or allow more")
            buffer = self._free.pop() if self._free else bytearray(self.size)
            self._held[id(buffer)] = buffer
            return buffer

    def release(self, buffer: bytearray) -> None:
        """Take a buffer back and clear it.

        One whose length was changed, or of which a memoryview is alive, is forgotten, and another made in its place.
        Raises ValueError for a buffer that is not in use from this pool: returned before, or not made by it.
        """
        with self._changed:
            if (
                id(buffer) in self._inherited
            ):  # the dictionaries keep them alive, so that no other has their id
                del self._inherited[id(buffer)]
                return
            if id(buffer) not in self._held:
                returned = any(free is buffer for free in self._free)
                raise ValueError("released twice" if returned else "not a buffer of this pool")
            if self._is_whole(buffer):
                memoryview(buffer)[:] = self._zeros  # without a view, Python copies the zeros first
                self._free.append(buffer)
            del self._held[id(buffer)]
            self._changed.notify()

    @property
    def in_use(self) -> int:
        """How many buffers are held now."""
        return len(self._held)

    def after_fork(self) -> None:
        self._changed = threading.Condition()
        self._inherited |= self._held
        self._held = {}

    def _wait(self, seconds: float) -> bool:
        return self._changed.wait_for(lambda: len(self._held) < self.count, seconds)

    def _is_whole(self, buffer: bytearray) -> bool:
        if len(buffer) != self.size:
            return False
        try:
            # refused while a memoryview is alive, which would see what the next holder writes
            buffer.append(buffer.pop())
        except BufferError:
            return False
        return True

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.size} bytes, {self.in_use} of {self.count} in use>"


class _Lent:
    """One buffer for the time of a block."""

    def __init__(self, pool: BufferPool, timeout: float) -> None:
        self._pool, self._timeout = pool, timeout
        self._buffers: list[bytearray] = []

    def __enter__(self) -> bytearray:
        buffer = self._pool.acquire(self._timeout)
        self._buffers.append(buffer)
        return buffer

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._pool.release(self._buffers.pop())
