"""Tasks that vanish, locks and waits that stop the loop, losers and siblings that run on, cancels that are lost."""

from __future__ import annotations

import sys
import textwrap

import pytest
from programs import fixed, run

from perflint.analysis import registry
from perflint.model.config import Target
from perflint.testing import example

HANG = 1.5  # seconds; long enough for a program that does not hang


def docs(code: str, title: str) -> str:
    """The docstring's example of a rule."""
    rule = registry.find(code)
    assert rule is not None
    return example(rule.doc, title)


def program(code: str, use: str) -> str:
    """The docstring's Bad, and how it is called."""
    return docs(code, "Bad") + "\n\n" + textwrap.dedent(use)


def said(text: str, deadline: float = 30) -> str:
    """What a program that ends well prints."""
    ended = run(text, deadline)
    assert ended.code == 0, ended.err
    return ended.out.strip()


LIMITED = """
running = most = 0

async def get(url):
    global running, most
    running += 1
    most = max(most, running)
    await asyncio.sleep(0)
    running -= 1
    return url

async def main():
    urls = await asyncio.gather(*[fetch(get, n) for n in range(40)])
    print(most, urls == list(range(40)))

asyncio.run(main())
"""


def test_a_semaphore_of_each_call_limits_nothing() -> None:
    bad = program("PRF304", LIMITED)
    assert said(bad) == "40 True"
    assert said(fixed("PRF304", bad)) == "5 True"


COLLECTED = """
import gc

async def send(user, text):
    await asyncio.get_running_loop().create_future()  # nothing but the task itself refers to it

async def main():
    await signed_up("ann", send)
    await asyncio.sleep(0)
    gc.collect()
    print(len(asyncio.all_tasks()) - 1)

asyncio.run(main())
"""


def test_a_dropped_task_is_collected_in_the_middle_of_its_work() -> None:
    bad = run(program("PRF308", COLLECTED))
    assert (bad.code, bad.out.strip()) == (0, "0")
    assert "Task was destroyed but it is pending" in bad.err
    good = run(fixed("PRF308", program("PRF308", COLLECTED)))
    assert (good.code, good.out.strip(), good.err) == (0, "1", "")


UNOBSERVED = """
import gc
import os
import sys

async def pull():
    raise ValueError("the feed is gone")

async def main():
    feed = Feed()
    feed.start(pull)
    for _ in range(5):
        await asyncio.sleep(0)
    gc.collect()
    print("kept")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # the reference lives as long as the program

asyncio.run(main())
"""


def test_a_kept_task_fails_in_silence() -> None:
    bad = run(program("PRF309", UNOBSERVED))
    assert (bad.out.strip(), bad.err) == ("kept", "")
    good = run(fixed("PRF309", program("PRF309", UNOBSERVED), runtime_fixes=True))
    assert good.out.strip() == "kept"
    assert "the feed is gone" in good.err


TWO_PAYMENTS = """
async def main():
    sent = []

    async def send(amount):
        await asyncio.sleep(0)
        sent.append(amount)

    account = Account()
    await asyncio.gather(account.pay(send, 1), account.pay(send, 2))
    print(sent)

asyncio.run(main())
"""


def test_a_lock_across_await_deadlocks_two_tasks() -> None:
    bad = "import asyncio\n" + program("PRF310", TWO_PAYMENTS)
    assert run(bad, HANG).code is None
    assert said(fixed("PRF310", bad)) == "[1, 2]"


PRODUCED_BY_A_TASK = """
async def main():
    orders = queue.Queue()

    async def produce():
        orders.put("tea")

    producer = asyncio.create_task(produce())
    print(await next_order(orders))
    await producer

asyncio.run(main())
"""


def test_a_blocking_get_starves_the_task_that_would_fill_the_queue() -> None:
    bad = program("PRF311", PRODUCED_BY_A_TASK)
    assert run(bad, HANG).code is None
    assert said(fixed("PRF311", bad)) == "tea"


OWN_LOOP = """
import asyncio

async def answer():
    return 42

async def main():
    loop = asyncio.get_running_loop()
    return asyncio.run_coroutine_threadsafe(answer(), loop).result()

print(asyncio.run(main()))
"""


def test_the_result_of_a_coroutine_on_the_own_loop_never_comes() -> None:
    assert run(OWN_LOOP, HANG).code is None
    assert said(fixed("PRF311", OWN_LOOP)) == "42"


RACE = """
async def main():
    go, served = asyncio.Event(), []

    async def fetch(mirror):
        if mirror == "slow":
            await go.wait()
        served.append(mirror)
        return mirror

    print(await fastest(["quick", "slow"], fetch))
    go.set()
    for _ in range(5):
        await asyncio.sleep(0)
    print(served)

asyncio.run(main())
"""


def test_the_loser_of_a_race_runs_to_its_end() -> None:
    bad = program("PRF312", RACE)
    assert said(bad).split("\n") == ["quick", "['quick', 'slow']"]
    assert said(fixed("PRF312", bad)).split("\n") == ["quick", "['quick']"]


CANCELLED = """
import os
import sys

async def fetch():
    await asyncio.sleep(0)

async def main():
    task = asyncio.create_task(poll(fetch, lambda error: None))
    await asyncio.sleep(0)
    for _ in range(20):
        task.cancel()
        await asyncio.sleep(0)
    print(task.done())
    sys.stdout.flush()
    os._exit(0)  # the end of asyncio.run would wait for it for ever

asyncio.run(main())
"""


def test_a_task_that_swallows_cancellation_cannot_be_stopped() -> None:
    bad = program("PRF314", CANCELLED)
    assert said(bad) == "False"
    assert said(fixed("PRF314", bad)) == "True"


def test_errors_are_still_handled_where_cancellation_passes() -> None:
    use = """
    tries = 0

    async def fetch():
        global tries
        tries += 1
        if tries == 3:
            raise asyncio.CancelledError
        raise ValueError(tries)

    async def main():
        try:
            await poll(fetch, print)
        except asyncio.CancelledError:
            print("cancelled")

    asyncio.run(main())
    """
    assert said(fixed("PRF314", program("PRF314", use))).split("\n") == ["1", "2", "cancelled"]


NAPS = """
import queue
import time

orders, naps = queue.Queue(), []

def nap(seconds, sleep=time.sleep):
    naps.append(seconds)
    if len(naps) == 20:
        orders.put("tea")

time.sleep = nap
"""


def test_polling_wakes_up_for_nothing() -> None:
    use = "print(next_order(orders), len(naps))"
    assert said(NAPS + docs("PRF315", "Bad") + use) == "tea 20"
    producer = "import threading\nthreading.Thread(target=orders.put, args=('tea',)).start()\n"
    assert said(NAPS + docs("PRF315", "Good") + producer + use) == "tea 0"


SIBLINGS = """
import asyncio

go, written = None, []

async def page():
    raise ValueError("no page")

async def feed():
    await go.wait()
    written.append("feed")

async def publish():
    try:
        await asyncio.gather(page(), feed())
    except Exception as error:
        print("failed" if written == [] else written)

async def main():
    global go
    go = asyncio.Event()
    await publish()
    go.set()
    for _ in range(5):
        await asyncio.sleep(0)
    print(written)

asyncio.run(main())
"""


def test_the_siblings_of_a_failed_gather_work_on() -> None:
    assert said(SIBLINGS).split("\n") == ["failed", "['feed']"]
    bounded = fixed("PRF406", SIBLINGS, runtime_fixes=True)
    assert "bounded_gather" in bounded
    assert said(bounded).split("\n") == ["failed", "[]"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup came with 3.11")
def test_a_task_group_ends_the_siblings() -> None:
    grouped = fixed("PRF406", SIBLINGS, target=Target((3, 11)))
    assert "TaskGroup" in grouped
    assert said(grouped).split("\n") == ["failed", "[]"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup came with 3.11")
def test_a_task_group_gives_the_same_results() -> None:
    before = """
    import asyncio

    async def f(x):
        await asyncio.sleep(0)
        return x

    async def both():
        try:
            a, b = await asyncio.gather(f(1), f(2))
            return a, b
        except Exception:
            return None

    print(asyncio.run(both()))
    """
    assert said(before) == said(fixed("PRF406", before, target=Target((3, 11)))) == "(1, 2)"


NOTIFIED = """
async def send(user):
    raise ValueError(f"no mailbox for {user}")

import gc
asyncio.run(notify(range(10), send))
gc.collect()
"""


def test_returned_exceptions_that_nobody_reads_leave_no_trace() -> None:
    bad = run(program("PRF407", NOTIFIED))
    assert bad == (0, "", "")
    good = run(docs("PRF407", "Good") + NOTIFIED)
    assert good.code == 0
    assert all(f"no mailbox for {user}" in good.err for user in range(10))


CANCELLED_JOB = """
import threading

async def main():
    started, released, outcome = threading.Event(), threading.Event(), []

    def count(path):
        started.set()
        outcome.append(released.wait(0.5))

    task = asyncio.create_task(digest(count, "file"))
    while not started.is_set():
        await asyncio.sleep(0)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        released.set()  # too late for a loop that has stood still until the job gave up
    return outcome

print(asyncio.run(main()))
"""


def test_with_of_an_executor_stops_the_loop_when_cancelled() -> None:
    bad = program("PRF414", CANCELLED_JOB)
    assert said(bad) == "[False]"
    assert said(fixed("PRF414", bad)) == "[True]"
