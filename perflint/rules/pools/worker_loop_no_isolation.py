"""A worker's loop in which one item that fails ends the worker.

An exception that leaves the loop ends its thread, task or process, and no other part of the
program is told. What is left in the queue is not worked on, `join()` waits for ever, and so
does a producer once a bounded queue is full. Isolate each item: catch, log, go on.

Bad:

    import logging
    import queue
    import threading

    logger = logging.getLogger(__name__)
    jobs = queue.Queue()


    def worker():
        while True:
            item = jobs.get()
            handle(item)
            jobs.task_done()


    def start():
        threading.Thread(target=worker, daemon=True).start()
        jobs.join()

Good:

    import logging
    import queue
    import threading

    logger = logging.getLogger(__name__)
    jobs = queue.Queue()


    def worker():
        while True:
            item = jobs.get()
            try:
                handle(item)
            except Exception:
                logger.exception("worker: item failed")
            finally:
                jobs.task_done()


    def start():
        threading.Thread(target=worker, daemon=True).start()
        jobs.join()

A worker is a function that this file hands to a thread, process, task or executor. Its loop is
endless and takes from a queue (by type, or by a name such as `jobs_queue`, `inbox` or `jobs`).

Not flagged: functions that nobody here starts, decorated ones, loops that only empty a queue, handlers of requests and
generators (the error must reach their caller), loops in which some call on the item is caught, or
which an outer loop restarts, loops that raise by themselves, bodies that only hand the item on
(`put`, `append`, `create_task`) or call functions of the file that catch every Exception. Nor
where the failure is loud: tasks of a group, tasks that their starter waits for, threads that it
asks `is_alive()`, tasks that it starts again when they are `done()`, a handler around the loop that
keeps the exception or logs and raises it again.

The fix is unsafe: an error no longer ends the worker. It is not offered where the loop's names
are read after it, or where a handler around the loop is meant to see the error. Under
`runtime-fixes` it writes `with guard("worker"):`, which in threads also stops SystemExit.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.concurrency.consumers import PACKAGES, TAKES, consumer, fatal
from perflint.analysis.concurrency.isolation import repair
from perflint.analysis.concurrency.roles import starts_in
from perflint.analysis.gates import Gate
from perflint.analysis.rule import Context, Rule
from perflint.model.diagnostics import Finding, Severity, Span

rule = Rule(
    code="PRF401",
    name="worker-loop-no-isolation",
    summary="one failing item ends the worker, and the rest of its queue is never worked on",
    category="pools",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(*(text.encode() for text in TAKES), b".get,", b"async for"),
        loop=True,
        imports=tuple(sorted(PACKAGES)),
        sketch=starts_in,
    ),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)


@rule.visits(cst.While, cst.For)
def check(node: cst.While | cst.For, context: Context) -> Iterator[Finding]:
    item = consumer(context, node)
    starts = fatal(context, item) if item is not None else []
    if item is None or not starts:
        return
    name = starts[0].function.name
    threads = any(start.by == "thread" for start in starts)
    message = f"one failing item ends worker `{name}` for good; isolate each item (log, count, continue)"
    if threads:
        message += "; in a thread SystemExit, too, ends it without a word"
    head = node.iter if isinstance(node, cst.For) else node.test
    span = Span(context.tree.span(node).start, context.tree.span(head).end)
    yield rule.finding(context, span, message, repair(context, item))
