"""What the pool rules warn of happens, and the cure ends it."""

import pytest
from programs import fixed, run

HANGS = 1.5  # seconds after which a program that waits for ever is killed

HEAD = """
import asyncio, logging, queue, threading
from concurrent.futures import ThreadPoolExecutor, wait
import multiprocessing as mp
from multiprocessing.pool import ThreadPool

logger = logging.getLogger(__name__)

def handle(item):
    print(10 // item, flush=True)
"""

THREAD_WORKER = """
q = queue.Queue()

def worker():
    while True:
        item = q.get()
        handle(item)
        q.task_done()

threading.Thread(target=worker, daemon=True).start()
for item in (1, 0, 2, 5):
    q.put(item)
q.join()
print("joined")
"""
TASK_WORKER = """
async def main():
    q = asyncio.Queue()

    async def worker():
        while True:
            item = await q.get()
            await asyncio.sleep(0)
            handle(item)
            q.task_done()

    task = asyncio.create_task(worker())
    for item in (1, 0, 2, 5):
        q.put_nowait(item)
    await q.join()
    task.cancel()
    print("joined")

asyncio.run(main())
"""
WORKERS = {"a thread": THREAD_WORKER, "a task": TASK_WORKER}


@pytest.mark.parametrize("program", WORKERS.values(), ids=WORKERS)
def test_one_bad_item_ends_the_worker_and_the_join_hangs(program: str) -> None:
    ended = run(HEAD + program, HANGS)
    assert (ended.code, ended.out.split()) == (None, ["10"])


@pytest.mark.parametrize("options", [{}, {"runtime_fixes": True}], ids=["logging", "runtime"])
@pytest.mark.parametrize("program", WORKERS.values(), ids=WORKERS)
def test_an_isolated_worker_goes_on(program: str, options: dict[str, bool]) -> None:
    ended = run(fixed("PRF401", HEAD + program, **options))
    assert (ended.code, ended.out.split()) == (0, ["10", "5", "2", "joined"])
    assert "ZeroDivisionError" in ended.err


@pytest.mark.parametrize("program", WORKERS.values(), ids=WORKERS)
def test_both_rules_offer_the_same_fix(program: str) -> None:
    assert fixed("PRF401", HEAD + program) == fixed("PRF402", HEAD + program)


def test_finally_alone_is_no_cure() -> None:
    work = "        handle(item)\n        q.task_done()\n"
    wrapped = "        try:\n            handle(item)\n        finally:\n            q.task_done()\n"
    program = HEAD + THREAD_WORKER.replace(work, wrapped)
    assert run(program, HANGS).code is None
    ended = run(fixed("PRF401", program))
    assert (ended.code, ended.out.split()) == (0, ["10", "5", "2", "joined"])


def test_a_skipped_task_done_makes_join_wait_for_ever() -> None:
    program = """
q = queue.Queue()

def worker():
    while True:
        item = q.get()
        if item == 0:
            continue
        handle(item)
        q.task_done()

threading.Thread(target=worker, daemon=True).start()
for item in (1, 0, 5):
    q.put(item)
q.join()
print("joined")
"""
    ended = run(HEAD + program, HANGS)
    assert (ended.code, ended.out.split()) == (None, ["10", "2"])
    ended = run(fixed("PRF402", HEAD + program))
    assert (ended.code, ended.out.split()) == (0, ["10", "2", "joined"])


SUBMITS = """
with ThreadPoolExecutor(1) as executor:
    for item in (1, 0, 5):
        executor.submit(handle, item)
"""


def test_a_dropped_future_loses_the_exception() -> None:
    ended = run(HEAD + SUBMITS)
    assert (ended.code, ended.out.split(), ended.err) == (0, ["10", "2"], "")


def test_a_done_callback_tells_of_it() -> None:
    ended = run(fixed("PRF403", HEAD + SUBMITS, runtime_fixes=True))
    assert (ended.code, ended.out.split()) == (0, ["10", "2"])
    assert "ZeroDivisionError" in ended.err


def test_wait_does_not_raise() -> None:
    program = """
with ThreadPoolExecutor(1) as executor:
    futures = [executor.submit(handle, item) for item in (1, 0, 5)]
    wait(futures)
"""
    ended = run(HEAD + program)
    assert (ended.code, ended.out.split(), ended.err) == (0, ["10", "2"], "")


def test_a_dropped_coroutine_of_another_thread_loses_the_exception() -> None:
    program = """
import gc

async def fail():
    done.set()
    handle(0)

done = threading.Event()
loop = asyncio.new_event_loop()
thread = threading.Thread(target=loop.run_forever)
thread.start()
asyncio.run_coroutine_threadsafe(fail(), loop)
done.wait()
asyncio.run_coroutine_threadsafe(asyncio.sleep(0), loop).result()
gc.collect()
loop.call_soon_threadsafe(loop.stop)
thread.join()
loop.close()
"""
    ended = run(HEAD + program)
    assert (ended.code, ended.err) == (0, "")


def test_a_map_that_nobody_iterates_loses_the_exceptions() -> None:
    program = HEAD + "with ThreadPoolExecutor(1) as executor:\n    executor.map(handle, (1, 0, 5))\n"
    ended = run(program)
    assert (ended.code, ended.out.split(), ended.err) == (0, ["10", "2"], "")
    ended = run(fixed("PRF404", program))
    assert (ended.code, ended.out.split()) == (1, ["10", "2"])
    assert "ZeroDivisionError" in ended.err


def test_apply_async_loses_the_exception() -> None:
    program = """
def main():
    done = []
    pool = ThreadPool(1)
    for item in (1, 0, 5):
        pool.apply_async(handle, (item,), callback=done.append)
    pool.close()
    pool.join()
    print(len(done))

main()
"""
    ended = run(HEAD + program)
    assert (ended.code, ended.err) == (0, "")
    after = run(fixed("PRF405", HEAD + program))
    assert (after.code, after.out) == (0, ended.out)
    assert "ZeroDivisionError" in after.err and "handle failed" in after.err


KILLED = """
import time
from multiprocessing import get_context

context = get_context("fork")
count = context.Value("i", 0)

def work(number):
    time.sleep(0.01)
    with count.get_lock():
        count.value += 1

def main():
    with context.Pool(1) as pool:
        for number in range(20):
            pool.apply_async(work, (number,))
    print(count.value)

main()
"""


def test_leaving_the_pool_kills_what_is_pending() -> None:
    ended = run(KILLED)
    assert (ended.code, ended.err) == (0, "")
    assert int(ended.out) < 20


def test_closing_and_joining_waits_for_it() -> None:
    assert run(fixed("PRF409", KILLED)).out.split() == ["20"]


def test_a_result_of_a_killed_task_never_comes() -> None:
    program = """
from multiprocessing import get_context

context = get_context("fork")
never = context.Event()

def work():
    never.wait()

def main():
    with context.Pool(1) as pool:
        result = pool.apply_async(work)
    print("left", flush=True)
    result.get()

main()
"""
    ended = run(program, HANGS)
    assert (ended.code, ended.out.split()) == (None, ["left"])


def test_a_silent_worker_tells_nothing() -> None:
    program = """
q = queue.Queue()

def worker():
    while True:
        item = q.get()
        if item is None:
            break
        try:
            handle(item)
        except Exception:
            pass

for item in (1, 0, 5, None):
    q.put(item)
thread = threading.Thread(target=worker)
thread.start()
thread.join()
"""
    ended = run(HEAD + program)
    assert (ended.code, ended.out.split(), ended.err) == (0, ["10", "2"], "")
    after = run(fixed("PRF410", HEAD + program))
    assert (after.code, after.out) == (0, ended.out)
    assert "ZeroDivisionError" in after.err


TIMED = """
release = threading.Event()

def main():
    {opening}
        try:
            executor.submit(release.wait).result(timeout=0.01)
        except Exception as error:
            print("gave up", flush=True)
    {closing}
    print("left", flush=True)
    release.set()

main()
"""


def test_a_timeout_inside_the_block_keeps_the_caller() -> None:
    program = HEAD + TIMED.format(opening="with ThreadPoolExecutor() as executor:", closing="")
    ended = run(program, HANGS)
    assert (ended.code, ended.out.split()) == (None, ["gave", "up"])


def test_a_shutdown_that_does_not_wait_lets_it_go() -> None:
    closing = "finally:\n        executor.shutdown(wait=False, cancel_futures=True)"
    program = HEAD + TIMED.format(opening="executor = ThreadPoolExecutor()\n    try:", closing=closing)
    ended = run(program)
    assert (ended.code, ended.out.split()) == (0, ["gave", "up", "left"])


NESTED = """
executor = ThreadPoolExecutor(2)
other = ThreadPoolExecutor(2)
both = threading.Barrier(2)

def inner():
    return 1

def outer():
    both.wait()
    return {pool}.submit(inner).result()

print(sum([future.result() for future in [executor.submit(outer) for _ in range(2)]]))
"""


def test_tasks_that_wait_for_their_own_pool_stand_still() -> None:
    assert run(HEAD + NESTED.format(pool="executor"), HANGS).code is None


def test_a_second_pool_ends_it() -> None:
    ended = run(HEAD + NESTED.format(pool="other"))
    assert (ended.code, ended.out.split()) == (0, ["2"])


def test_pools_that_are_kept_keep_their_threads() -> None:
    program = """
class Mailer:
    def __init__(self):
        self.executor = ThreadPoolExecutor(2)

    def send(self):
        self.executor.submit(int).result()

    def close(self):
        self.executor.shutdown()

def send_all(close):
    mailers = [Mailer() for _ in range(10)]
    for mailer in mailers:
        mailer.send()
        if close:
            mailer.close()
    return threading.active_count() - 1

print(send_all(True), send_all(False))
"""
    assert run(HEAD + program).out.split() == ["0", "10"]


FAILING = """
import os
from multiprocessing import get_context
from concurrent.futures import ProcessPoolExecutor

def initialize():
    print(os.getpid(), flush=True)
    raise ValueError

context = get_context("fork")
{opening} as pool:
    print({call})
"""


def test_an_initializer_that_fails_respawns_workers_for_ever() -> None:
    ended = run(
        FAILING.format(opening="with context.Pool(1, initialize)", call="pool.apply(abs, [1])"), HANGS
    )
    assert ended.code is None
    assert len(set(ended.out.split())) > 3


def test_an_executor_fails_fast() -> None:
    opening = "with ProcessPoolExecutor(1, mp_context=context, initializer=initialize)"
    ended = run(FAILING.format(opening=opening, call="pool.submit(abs, 1).result()"))
    assert ended.code == 1 and "BrokenProcessPool" in ended.err
    assert len(ended.out.split()) == 1
