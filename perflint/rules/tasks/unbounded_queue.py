"""A queue without `maxsize` between a producer that does not pause and a consumer loop.

The queue is where a slow consumer should slow its producer down. Without a bound it only hides the
difference: memory grows, the newest item waits longest, and nothing fails until the process does.
`maxsize=0` means no bound.

Bad:

    import asyncio


    class Copy:
        def __init__(self):
            self.lines = asyncio.Queue()
            self.total = 0

        async def read(self, source):
            async for line in source:
                await self.lines.put(line)

        async def write(self):
            while True:
                self.total += len(await self.lines.get())
                self.lines.task_done()

        async def run(self, source):
            writer = asyncio.create_task(self.write())
            await self.read(source)
            await self.lines.join()
            writer.cancel()
            return self.total

Good:

    import asyncio


    class Copy:
        def __init__(self):
            self.lines = asyncio.Queue(maxsize=1000)
            self.total = 0

        async def read(self, source):
            async for line in source:
                await self.lines.put(line)

        async def write(self):
            while True:
                self.total += len(await self.lines.get())
                self.lines.task_done()

        async def run(self, source):
            writer = asyncio.create_task(self.write())
            await self.read(source)
            await self.lines.join()
            writer.cancel()
            return self.total

The same class or module must hold both ends: a `get` in a loop of a worker (or of an iterator), and
a `put` in a loop that has no end, a request handler or a callback.

Not flagged: a queue that is filled from a collection, reply queues, pools whose objects are put
back, queues that carry only a stop signal, a size that is configured or compared (`q.qsize() >= n`).

The fix is unsafe: `put` may now wait. None is offered where a `put_nowait` has no handler for a full
queue, where a callback fills the queue (a bound would lose items: decide whether to drop or to
disconnect), for `SimpleQueue`, and where the queue is handed to other code.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.feeds import (
    End,
    Place,
    consumes,
    ends,
    escapes,
    handles_full,
    may_have_ends,
    measured,
    produces,
    pushed,
)
from perflint.analysis.concurrency.queueing import unbounded
from perflint.analysis.concurrency.roles import Roles
from perflint.analysis.gates import Gate
from perflint.analysis.objects import Made
from perflint.analysis.outline import Outline, leaf
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

_TYPES = library.QUEUES - {"multiprocessing.SimpleQueue"}  # a pipe: it waits when it is full

_SPELLINGS = library.spellings(_TYPES)
_MAKERS = tuple({name.rpartition(".")[2] for name in _TYPES})


def _hopeful(sketch: Sketch) -> bool:
    """A queue without a bound that gets a name, in a file that puts into one and takes out of one."""
    if not (sketch.facts.holds(b"put") and sketch.facts.holds(b"get")):
        return False
    kept = [(node.targets[0], node.value) for node in sketch.of(ast.Assign)]
    kept += [(node.target, node.value) for node in sketch.of(ast.AnnAssign) if node.value is not None]
    made = {*sketch.calls_to(*_SPELLINGS), *sketch.methods(*_MAKERS)}  # by the module or a context
    made.update(call for call in sketch.of(ast.Call) if isinstance(call.func, ast.Subscript))
    return any(
        unbounded(Made("", (value,))) and _may_feed(target, sketch)
        for target, value in kept
        if isinstance(value, ast.Call) and value in made
    )


def _may_feed(target: ast.expr, sketch: Sketch) -> bool:
    """Whether the place that a queue is bound to may stand between a producer and a consumer."""
    if sketch.functions != [sketch.region.node] or sketch.of(ast.Global):
        return True
    if not may_have_ends(sketch.facts, leaf(target)):
        return False
    outline = sketch.facts.outline
    home = outline.inside(sketch.functions[0])
    match target:
        case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name) if home.owner is not None:
            return bool(_feeders(Place(name, owner=home.owner), outline))
        case ast.Name(id=name):
            return bool(_feeders(Place(name, function=home.function), outline))
    return False


def _feeders(place: Place, outline: Outline) -> list[End]:
    """What puts items into the queue, if something else takes them out, and nothing looks at how many there are."""
    found, roles = list(ends(outline, place)), outline.once(Roles)
    takes = {item.home.function for item in found if item.method.startswith("get")}
    feeders = [item for item in found if item.home.function not in takes and produces(roles, item)]
    taken = any(consumes(roles, item) for item in found)
    return feeders if taken and feeders and not measured(outline, place) else []


rule = Rule(
    code="PRF307",
    name="unbounded-queue",
    summary="a queue without `maxsize` between a producer and a consumer loop",
    category="tasks",
    severity=Severity.INFO,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(b"Queue(", b"Queue["),
        names=_SPELLINGS,
        imports=("queue", "asyncio", "multiprocessing"),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=Benchmark(
        setup="async def source(n):\n    for i in range(n):\n        yield str(i)\n",
        call="asyncio.run(Copy().run(source(n)))",
        sizes=(100, 1_000, 30_000),
        measure="memory",
    ),
    tests=False,
    service=True,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    made = context.objects.of(node)
    if made is None or made.type not in _TYPES or not unbounded(made):
        return
    place = _place(node, context)
    if place is None:
        return
    feeders = _feeders(place, context.facts.outline)
    if feeders:
        fix = _fix(node, made.type, place, context)
        yield rule.finding(context, node, _message(node, feeders, context), fix)


def _message(node: cst.Call, feeders: list[End], context: Context) -> str:
    written = f"`{context.tree.code(node.func)}()`"
    if all(pushed(item) for item in feeders):
        return (
            f"{written} has no maxsize between a callback and a consumer loop; "
            "a slow consumer grows memory without limit: bound it, and decide whether to drop or to disconnect"
        )
    return (
        f"{written} has no maxsize between a producer loop and a consumer loop; "
        "a slow consumer grows memory without limit"
    )


def _place(node: cst.Call, context: Context) -> Place | None:
    """What the queue is bound to."""
    match context.tree.parent(node):
        case cst.Assign(targets=[cst.AssignTarget(target=target)]) | cst.AnnAssign(target=target):
            pass
        case _:
            return None
    home = context.objects.home(node)
    match target:
        case cst.Attribute(value=cst.Name(value="self" | "cls"), attr=cst.Name(value=name)):
            return Place(name, owner=home.owner) if home.owner is not None else None
        case cst.Name(value=name):
            scope = context.scope(node)
            if scope.kind == "class":
                return None
            owner = scope.owner(name)
            if owner is not None and owner.kind == "function":
                alone = len(owner.bindings[name]) == 1
                return Place(name, function=home.function) if alone and home.function else None
            return Place(name) if len(context.facts.bindings.get(name, ())) == 1 else None
    return None


def _fix(node: cst.Call, kind: str, place: Place, context: Context) -> Fix | None:
    """Give it the configuration's `default-queue-size`."""
    if kind.endswith("SimpleQueue") or context.tree.comments(context.tree.span(node)):
        return None
    if len(node.args) > 1 or any(item.star for item in node.args) or node.lpar:
        return None
    found = list(ends(context.facts.outline, place))
    puts = [item for item in found if item.method.startswith("put")]
    gets = {item.home.function for item in found if item.method.startswith("get")}
    if any(pushed(item) or item.deferred or item.home.function in gets for item in puts):
        return None
    if any(not _may_wait(item, kind) and not handles_full(item) for item in puts):
        return None
    if escapes(context.facts.outline, place):
        return None
    size, span = context.config.default_queue_size, context.tree.span(node)
    edit = Edit(Span(span.end - 1, span.end - 1), f"maxsize={size}")
    if node.args:
        edit = Edit(context.tree.span(node.args[0].value), str(size))
    return Fix("Bound the queue", (edit,), Applicability.UNSAFE)


def _may_wait(end: End, kind: str) -> bool:
    """Whether a full queue makes this put wait, in a place that may."""
    if end.method == "put_nowait" or len(end.call.args) > 1 or end.call.keywords:
        return False
    return kind in library.ASYNC_QUEUES or not isinstance(end.home.function, ast.AsyncFunctionDef)
