"""The semaphore is taken inside the task: work is bounded, the number of live tasks is not.

Every item becomes a task, a frame and an entry in the semaphore's queue before the first one is
done. The resource behind the semaphore is safe; the memory is that of no semaphore at all.

Bad:

    import asyncio


    async def handle_all(items):
        slots, tasks = asyncio.Semaphore(100), set()

        async def handle(item):
            async with slots:
                await asyncio.sleep(0)

        async for item in items:
            task = asyncio.create_task(handle(item))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

Good:

    import asyncio


    async def handle_all(items):
        slots, tasks = asyncio.Semaphore(100), set()

        async def handle(item):
            await asyncio.sleep(0)

        async for item in items:
            await slots.acquire()
            task = asyncio.create_task(handle(item))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            task.add_done_callback(lambda _: slots.release())
        await asyncio.gather(*tasks)

Reported where the source has no end (`async for`, `while`); with `pedantic = true` over every
iterable of unknown length, gathered comprehensions included. Not flagged: a few items, a slot that
the spawner takes, work that waits for something else before the limiter (unbounded-task-spawn).
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.concurrency.crowds import part_of_fixed_size
from perflint.analysis.concurrency.fanout import GATHERING, fan, gathered, inner_work, limits_itself
from perflint.analysis.concurrency.piles import piles
from perflint.analysis.concurrency.roles import is_cleanup
from perflint.analysis.concurrency.spawns import spawn
from perflint.analysis.gates import Gate
from perflint.analysis.library import spellings
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sizes import Size
from perflint.model.diagnostics import Finding, Severity

_METHODS = ("create_task", "ensure_future", "start_soon")
_MESSAGE = (
    "the limiter is taken inside the task: concurrency is bounded, the number of live tasks is not; "
    "take the slot before the spawn"
)

rule = Rule(
    code="PRF303",
    name="limiter-inside-task",
    summary="a semaphore inside the task bounds the work, not the number of tasks",
    category="tasks",
    severity=Severity.INFO,
    since="0.1",
    fix="never",
    gate=Gate(
        text=tuple(name.encode() for name in _METHODS),
        names=spellings((*GATHERING, "asyncio.create_task", "asyncio.ensure_future")),
        imports=("asyncio", "anyio", "trio"),
    ),
    doc=__doc__,
    benchmark=Benchmark(
        setup="async def stream(n):\n    for item in range(n):\n        yield item\n",
        call="asyncio.run(handle_all(stream(n)))",
        sizes=(10, 1_000, 10_000),
        measure="memory",
    ),
    group="pedantic",
    tests=False,
    service=True,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    work, size = _spawned(node, context) or _gathered(node, context) or (None, Size.SMALL)
    wanted = size is Size.INFINITE or (size is Size.UNKNOWN and context.config.pedantic)
    if wanted and limits_itself(context, work) and not is_cleanup(context.tree, node, work):
        yield rule.finding(context, node, _MESSAGE)


def _spawned(node: cst.Call, context: Context) -> tuple[cst.BaseExpression | None, Size] | None:
    """What a loop spawns, and how often it may turn."""
    if isinstance(node.func, cst.Attribute) and node.func.attr.value not in _METHODS:
        return None
    found = spawn(context.objects, node) if context.flow.repeated(node) is not None else None
    if found is None or found.how not in ("task", "group"):
        return None
    for pile in piles(context, found):
        if gathered(context, pile.loop) or part_of_fixed_size(pile.iterable):
            return None
        return inner_work(context, found.work), pile.size
    return None


def _gathered(node: cst.Call, context: Context) -> tuple[cst.BaseExpression | None, Size] | None:
    """What a gathered comprehension calls, and over how many items."""
    found = fan(context, node)
    if found is None or part_of_fixed_size(found.iterable):
        return None
    return inner_work(context, found.element), found.size(context)
