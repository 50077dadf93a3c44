"""What full queues, rejected work and workers without an exit do to a program."""

import pytest
from programs import fixed, run

HANGS = 2.0  # seconds that a program may take to start; one that hangs is killed after them

# PRF313


WORKER = """
    import queue
    import threading

    jobs = queue.Queue(maxsize=100)

    def worker():
        while True:
            job = jobs.get()
            {leave}
            job()
            jobs.task_done()

    threading.Thread(target=worker).start()
    jobs.put(lambda: print("done", flush=True))
    jobs.join()
    print("main thread over", flush=True)
    {end}
"""


def test_a_worker_without_an_exit_keeps_the_interpreter() -> None:
    ended = run(WORKER.format(leave="", end=""), HANGS)
    assert ended.code is None, ended
    assert ended.out == "done\nmain thread over\n"


def test_a_sentinel_lets_it_finish() -> None:
    program = WORKER.format(leave="if job is None: return", end="jobs.put(None)")
    assert run(program) == (0, "done\nmain thread over\n", "")


def test_a_daemon_loses_what_is_queued() -> None:
    program = """
        import queue
        import threading

        jobs, begun, never = queue.Queue(), threading.Event(), threading.Event()

        def worker():
            while True:
                job = jobs.get()
                begun.set()
                never.wait()
                print("saved", job)

        threading.Thread(target=worker, daemon=True).start()
        for number in range(20):
            jobs.put(number)
        begun.wait()
        print("main thread over")
    """
    assert run(program) == (0, "main thread over\n", "")


# PRF320


PERMITS = """
    import threading

    permits = threading.Semaphore(1)
    inside, most = 0, 0
    entered, go_on = threading.Event(), threading.Event()

    def first():
        global inside, most
        with permits:
            inside += 1
            most = max(most, inside)
            entered.set()
            go_on.wait()
            inside -= 1

    def second():
        global inside, most
        {acquire}
        inside += 1
        most = max(most, inside)
        inside -= 1
        permits.release()

    thread = threading.Thread(target=first)
    thread.start()
    entered.wait()
    second()
    go_on.set()
    thread.join()
    free = 0
    while permits.acquire(blocking=False):
        free += 1
    print("at once:", most, "permits:", free)
"""


@pytest.mark.parametrize("arguments", ["timeout=0.01", "blocking=False"])
def test_an_ignored_acquire_enters_without_a_permit(arguments: str) -> None:
    ended = run(PERMITS.format(acquire=f"permits.acquire({arguments})"))
    assert ended == (0, "at once: 2 permits: 2\n", "")


def test_a_tested_acquire_does_not() -> None:
    ended = run(PERMITS.format(acquire="if not permits.acquire(timeout=0.01): return"))
    assert ended == (0, "at once: 1 permits: 1\n", "")


POOL = """
    import threading
    from perflint.runtime import WorkerPool

    held, ran, refused = threading.Event(), [], []

    def task(number):
        held.wait()
        ran.append(number)

    pool = WorkerPool(workers=2, queue_size=3)

    def accept(number):
        {submit}
        return 202

    answers = [accept(number) for number in range(20)]
    held.set()
    pool.join()
    pool.shutdown()
    print("ran", len(ran), "said yes", answers.count(202), "said no", answers.count(503))
"""


def test_an_ignored_rejection_is_a_promise_that_nobody_keeps() -> None:
    ended = run(POOL.format(submit="pool.submit(task, number)"))
    assert ended == (0, "ran 5 said yes 20 said no 0\n", "")


def test_an_answer_is_true() -> None:
    ended = run(POOL.format(submit="if not pool.submit(task, number): return 503"))
    assert ended == (0, "ran 5 said yes 5 said no 15\n", "")


# PRF321


SAMPLES = """
    import logging
    import queue

    logging.basicConfig(format="%(message)s")
    logger = logging.getLogger(__name__)
    pending = queue.Queue(maxsize=10)
    dropped = 0

    def record(sample):
        global dropped
        try:
            pending.put_nowait(sample)
        except queue.Full:
            {answer}

    for number in range(100):
        record(number)
    print("kept", pending.qsize(), "dropped", dropped)
"""


def test_ninety_of_a_hundred_vanish_without_a_trace() -> None:
    assert run(SAMPLES.format(answer="pass")) == (0, "kept 10 dropped 0\n", "")


def test_a_counter_tells() -> None:
    assert run(SAMPLES.format(answer="dropped += 1")) == (0, "kept 10 dropped 90\n", "")


def test_the_fix_tells_of_each() -> None:
    ended = run(fixed("PRF321", SAMPLES.format(answer="pass")))
    assert ended == (0, "kept 10 dropped 0\n", "queue full, item dropped\n" * 90)


# PRF322


PUBLISHER = """
    import asyncio

    async def publish(events: asyncio.Queue, event):
        try:
            await events.put(event)
        except asyncio.QueueFull:
            return "shed"
        return "accepted"

    async def main():
        events = asyncio.Queue(maxsize=2)  # and a consumer that has died
        for number in range(4):
            print(await publish(events, number), flush=True)

    asyncio.run(main())
"""


def test_the_producer_stands_still() -> None:
    ended = run(PUBLISHER, HANGS)
    assert ended.code is None, ended
    assert ended.out == "accepted\n" * 2


def test_the_fixed_producer_sheds() -> None:
    assert run(fixed("PRF322", PUBLISHER)) == (0, "accepted\n" * 2 + "shed\n" * 2, "")


WRONG = """
    import asyncio
    import queue

    async def publish(events: asyncio.Queue, event):
        try:
            events.put_nowait(event)
        except queue.Full:
            return "shed"
        return "accepted"

    async def main():
        events = asyncio.Queue(maxsize=1)
        for number in range(2):
            print(await publish(events, number))

    asyncio.run(main())
"""


def test_the_other_modules_class_is_not_raised() -> None:
    ended = run(WRONG)
    assert (ended.code, ended.out) == (1, "accepted\n")
    assert ended.err.rstrip().endswith("QueueFull")


def test_the_right_class_is_caught() -> None:
    assert run(fixed("PRF322", WRONG)) == (0, "accepted\nshed\n", "")


def test_a_drain_that_waits_never_ends() -> None:
    program = """
        import queue

        jobs = queue.Queue()
        jobs.put(1)

        def drain():
            found = []
            while True:
                try:
                    found.append(jobs.get())
                    print("found", len(found), flush=True)
                except queue.Empty:
                    return found

        print(drain())
    """
    ended = run(program, HANGS)
    assert (ended.code, ended.out) == (None, "found 1\n")
    assert run(fixed("PRF322", program)) == (0, "found 1\n[1]\n", "")


# PRF323


HANDLER = """
    import asyncio

    jobs = asyncio.Queue(maxsize=3)

    async def enqueue(job):
        {put}
        return 202

    async def main():
        requests = [asyncio.create_task(enqueue(number)) for number in range(10)]
        done = 0
        for _ in range(20):  # each request gets its turns; no consumer is alive
            await asyncio.sleep(0)
            done = sum(request.done() for request in requests)
        answers = [request.result() for request in requests if request.done()]
        print("open", len(requests) - done, "yes", answers.count(202), "no", answers.count(503))

    asyncio.run(main())
"""


def test_requests_pile_up_in_front_of_a_full_queue() -> None:
    assert run(HANDLER.format(put="await jobs.put(job)")) == (0, "open 7 yes 3 no 0\n", "")


def test_a_handler_that_sheds_answers_all() -> None:
    put = """
        try:
            jobs.put_nowait(job)
        except asyncio.QueueFull:
            return 503
    """.strip()
    assert run(HANDLER.format(put=put)) == (0, "open 0 yes 3 no 7\n", "")
