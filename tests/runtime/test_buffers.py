"""`BufferPool`: bounded, cleared, and strict about what comes back."""

import os
import random
import threading
from typing import Any

import pytest
from runtime_helpers import LONG, script

from perflint.runtime import BufferPool


def test_buffers_are_used_again_and_clear() -> None:
    pool = BufferPool(1000, 2)
    with pool.buffer() as buffer:
        assert type(buffer) is bytearray and buffer == bytes(1000) and pool.in_use == 1
        buffer[:6] = b"secret"
        first = id(buffer)
    assert pool.in_use == 0
    with pool.buffer() as buffer:
        assert id(buffer) == first and buffer == bytes(1000)
    assert repr(pool) == "<BufferPool 1000 bytes, 0 of 2 in use>"


def test_bounded() -> None:
    pool = BufferPool(10, 2)
    held = [pool.acquire(), pool.acquire()]
    with pytest.raises(TimeoutError, match="all 2 buffers are in use"):
        pool.acquire()
    with pytest.raises(TimeoutError):
        pool.acquire(timeout=0.01)
    pool.release(held.pop())
    pool.release(pool.acquire())
    assert pool.in_use == 1


def test_waits_for_one() -> None:
    pool = BufferPool(10, 1)
    buffer = pool.acquire()
    got: list[bytearray] = []
    thread = threading.Thread(target=lambda: got.append(pool.acquire(timeout=LONG)))
    thread.start()
    pool.release(buffer)
    thread.join(LONG)
    assert got[0] is buffer


def test_released_when_the_block_raises() -> None:
    pool = BufferPool(10, 1)
    with pytest.raises(KeyError), pool.buffer():
        raise KeyError
    assert pool.in_use == 0


@pytest.mark.parametrize("foreign", [bytearray(10), b"x" * 10, memoryview(bytearray(10)), None, 3])
def test_foreign_ones_are_refused(foreign: Any) -> None:
    pool = BufferPool(10, 1)
    with pytest.raises(ValueError, match="not a buffer of this pool"):
        pool.release(foreign)
    other = BufferPool(10, 1).acquire()
    with pytest.raises(ValueError, match="not a buffer of this pool"):
        pool.release(other)
    copy = bytearray(pool.acquire())
    with pytest.raises(ValueError, match="not a buffer of this pool"):
        pool.release(copy)
    assert pool.in_use == 1


def test_double_returns_are_refused() -> None:
    pool = BufferPool(10, 2)
    buffer = pool.acquire()
    pool.release(buffer)
    with pytest.raises(ValueError, match="released twice"):
        pool.release(buffer)
    with pool.buffer() as one, pool.buffer() as two:
        assert one is not two


def test_a_changed_length_is_forgotten() -> None:
    pool = BufferPool(10, 1)
    for change in (bytearray.clear, bytearray.pop, lambda buffer: buffer.extend(b"more")):
        with pool.buffer() as buffer:
            change(buffer)
        with pool.buffer() as fresh:
            assert fresh is not buffer and fresh == bytes(10)


def test_one_with_a_view_is_not_handed_out() -> None:
    pool = BufferPool(10, 1)
    with pool.buffer() as buffer:
        view = memoryview(buffer)
    with pool.buffer() as fresh:
        assert fresh is not buffer
        fresh[:6] = b"secret"
        assert view.tobytes() == bytes(10)
    view.release()


@pytest.mark.parametrize("arguments", [(0, 1), (1, 0), (-1, 1), (1.5, 1), ("1", 1), (True, 1)])
def test_bad_sizes(arguments: tuple[Any, Any]) -> None:
    with pytest.raises(ValueError, match="must be an int >= 1"):
        BufferPool(*arguments)
    for timeout, error in ((-1, ValueError), ("1", TypeError)):
        with pytest.raises(error):
            BufferPool(1, 1).acquire(timeout)  # type: ignore[arg-type]


def test_threads() -> None:
    pool, wrong = BufferPool(4096, 4), []

    def work(number: int) -> None:
        chance, mark = random.Random(number), bytes([number + 1])
        for _ in range(300):
            with pool.buffer(timeout=LONG) as buffer:
                if buffer.count(0) != 4096:
                    wrong.append("not clear")
                buffer[:] = mark * 4096
                if chance.random() < 0.1:
                    threading.Event().wait(0.0001)
                if buffer.count(mark) != 4096:
                    wrong.append("shared")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert not wrong and pool.in_use == 0 and len(pool._free) <= 4


FORK = """
import os
from perflint.runtime import BufferPool

pool = BufferPool(10, 2)
mine, lost = pool.acquire(), pool.acquire()
pool._changed.acquire()  # as another thread may at that moment
pid = os.fork()
if not pid:
    with pool.buffer() as one, pool.buffer() as two:
        assert one is not mine and two is not lost
    pool.release(mine)
    try:
        pool.release(mine)
    except ValueError:
        os._exit(0)
    os._exit(1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
pool._changed.release()
pool.release(mine)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_all_buffers() -> None:
    ran = script(FORK)
    assert (ran.returncode, ran.stderr) == (0, "")
