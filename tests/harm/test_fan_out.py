"""Fan-outs: how many tasks, threads and items are alive at once, before and after; and what a failure leaves."""

import sys

import pytest
from programs import fixed, run

from perflint.model.config import parse_target

LIVE = """
    import asyncio

    live = most = 0
    ended = []

    async def work(item):
        global live, most
        live += 1
        most = max(most, live)
        try:
            if item == "bad":
                raise ValueError(item)
            for _ in range(3):
                await asyncio.sleep(0)
            ended.append(item)
        finally:
            live -= 1
        return item

    items = list(range(500))
"""

GATHER = (
    LIVE
    + """
    async def main(items):
        return await asyncio.gather(*(work(item) for item in items))

    assert asyncio.run(main(items)) == items
    print(most)
"""
)


def test_gather_runs_one_task_per_item_at_once() -> None:
    assert run(GATHER).out == "500\n"
    assert run(fixed("PRF301", GATHER, runtime_fixes=True)).out == "100\n"


def test_what_gather_leaves_running_after_a_failure() -> None:
    program = (
        LIVE
        + """
    async def main(items):
        try:
            await asyncio.gather(*(work(item) for item in items))
        except ValueError:
            print(live)
        for _ in range(9):
            await asyncio.sleep(0)
        print(len(ended))

    asyncio.run(main(["bad", *range(50)]))
"""
    )
    assert run(program).out == "50\n50\n"
    assert run(fixed("PRF301", program, runtime_fixes=True)).out == "0\n0\n"


def test_items_that_wait_for_each_other_need_a_slot_each() -> None:
    program = """
        import asyncio

        async def main(n):
            met, here = asyncio.Event(), 0

            async def meet():
                nonlocal here
                here += 1
                if here == n:
                    met.set()
                await met.wait()

            await asyncio.gather(*(meet() for _ in range(n)))
            print("met")

        asyncio.run(main(8))
    """
    assert run(program).out == "met\n"
    assert run(fixed("PRF301", program, runtime_fixes=True, default_limit=8)).out == "met\n"
    assert run(fixed("PRF301", program, runtime_fixes=True, default_limit=7), deadline=1.5).code is None


GROUP = (
    LIVE
    + """
    async def main(items):
        async with asyncio.TaskGroup() as tg:
            for item in items:
                tg.create_task(work(item))

    {call}
    print(most, len(ended))
"""
)
needs_groups = pytest.mark.skipif(sys.version_info < (3, 11), reason="TaskGroup is new in 3.11")


@needs_groups
def test_a_task_group_joins_but_does_not_bound() -> None:
    program = GROUP.format(call="asyncio.run(main(items))")
    assert run(program).out == "500 500\n"
    assert run(fixed("PRF302", program, target=parse_target(">=3.11"))).out == "100 500\n"


@needs_groups
def test_a_failing_task_ends_an_endless_source() -> None:
    program = GROUP.format(
        call="""import itertools
    try:
        asyncio.run(main(itertools.chain(["bad"], itertools.count())))
    except BaseException as error:
        print([str(item) for item in error.exceptions])"""
    )
    ended = run(fixed("PRF302", program, target=parse_target(">=3.11")))
    assert ended.code == 0 and ended.out.startswith("['bad']\n")


def test_a_limiter_inside_the_task_does_not_bound_the_tasks() -> None:
    program = (
        LIVE
        + """
    async def main(items):
        slots, tasks, most = asyncio.Semaphore(100), set(), 0

        async def limited(item):
            {inside}
                await work(item)

        for item in items:
            {before}
            task = asyncio.create_task(limited(item))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            {after}
            most = max(most, len(tasks))
        await asyncio.gather(*tasks)
        print(most, len(ended))

    asyncio.run(main(items))
"""
    )
    inside = program.format(inside="async with slots:", before="pass", after="pass")
    assert run(inside).out == "500 500\n"
    release = "task.add_done_callback(lambda _: slots.release())"
    outside = program.format(inside="if True:", before="await slots.acquire()", after=release)
    assert run(outside).out == "100 500\n"


THREADS = """
    import resource, threading
    from concurrent.futures import ThreadPoolExecutor

    threading.stack_size(64 << 20)
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, resource.RLIM_INFINITY))
    done, free = [], threading.Event()

    def work(item):
        {wait}
        done.append(item)

    def work_all(items):
        {body}

    try:
        work_all(range(64))
    except RuntimeError as error:
        print(error)
    free.set()
    print(len(done))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space")
def test_threads_run_out_in_the_middle_of_the_batch() -> None:
    each = "for item in items: threading.Thread(target=work, args=(item,)).start()"
    bad = run(THREADS.format(wait="free.wait(20)", body=each))
    assert "can't start new thread" in bad.out
    pool = "with ThreadPoolExecutor(max_workers=8) as pool: list(pool.map(work, items))"
    assert run(THREADS.format(wait="pass", body=pool)).out == "64\n"


def test_map_reads_the_whole_input_before_the_first_result() -> None:
    program = """
        from concurrent.futures import ThreadPoolExecutor

        pulled = 0

        def numbers(n):
            global pulled
            for i in range(n):
                pulled += 1
                yield i

        def main(n):
            with ThreadPoolExecutor(2) as pool:
                for result in pool.map(str, numbers(n)):
                    if result == "0":
                        print(pulled)
            print(result, pulled)

        main(1000)
    """
    assert run(program).out == "1000\n999 1000\n"
    first, last = run(fixed("PRF306", program, runtime_fixes=True)).out.splitlines()
    assert int(first) <= 101 and last == "999 1000"


def test_a_queue_holds_what_a_slow_consumer_has_not_taken() -> None:
    program = """
        import queue, threading

        class Copy:
            def __init__(self):
                self.q = queue.Queue()
                self.most, self.seen = 0, 0
                self.read = threading.Event()

            def work(self):
                self.read.wait(0.2)  # the consumer is late
                while self.q.get() is not None:
                    self.most = max(self.most, self.q.qsize())
                    self.seen += 1

            def run(self, items):
                worker = threading.Thread(target=self.work)
                worker.start()
                while (item := next(items, None)) is not None:
                    self.q.put(item)
                self.read.set()
                self.q.put(None)
                worker.join()
                print(self.seen, self.most)

        Copy().run(iter(range(5000)))
    """
    seen, most = run(program).out.split()
    assert (seen, int(most) > 1000) == ("5000", True)
    seen, most = run(fixed("PRF307", program)).out.split()
    assert (seen, int(most) <= 1000) == ("5000", True)
