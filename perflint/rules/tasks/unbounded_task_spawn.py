"""A loop over data of any length spawns a task in each turn, and nothing slows it down.

A loop spawns faster than its tasks end, so all items of the input become live tasks. A task group
does not bound that: it joins its tasks, however many there are. A slot that is taken before the
spawn bounds tasks, memory and open connections at once.

Bad:

    import asyncio


    async def handle(item):
        await asyncio.sleep(0)


    async def handle_all(items):
        tasks = set()
        for item in items:
            task = asyncio.create_task(handle(item))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        await asyncio.gather(*tasks)

Good:

    import asyncio


    async def handle(item):
        await asyncio.sleep(0)


    async def handle_all(items):
        tasks = set()
        slots = asyncio.Semaphore(100)
        for item in items:
            await slots.acquire()
            task = asyncio.create_task(handle(item))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            task.add_done_callback(lambda _: slots.release())
        await asyncio.gather(*tasks)

Not flagged: a slot is acquired, or the tasks are counted, on every path to the spawn; the task is
awaited, joined or cancelled in the same turn; a few known items or a fixed crew of workers; loops
that sleep between spawns; an attribute that holds one task at a time; what an object starts once
for each of its own parts.

Where the loop stands directly in `async with asyncio.TaskGroup() as tg` and the spawn is a
statement of its own, a fix (for Python 3.11 and later) adds the semaphore. It is unsafe: tasks that
wait for each other need as many slots as there are tasks.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.fanout import gathered, inner_work
from perflint.analysis.concurrency.origins import switched
from perflint.analysis.concurrency.piles import few, piles
from perflint.analysis.concurrency.spawns import Spawn, spawn
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted
from perflint.analysis.possible import calls_on
from perflint.analysis.rewrite import indentation, statement_lines
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sizes import Size
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import walk
from perflint.fixing.imports import import_edit
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

_FUNCTIONS = ("create_task", "ensure_future")
_METHODS = (*_FUNCTIONS, "start_soon")
_TASK_GROUP = "asyncio.TaskGroup"

_SPELLINGS = library.spellings([f"asyncio.{name}" for name in _FUNCTIONS])


def _hopeful(sketch: Sketch) -> bool:
    kinds = library.GROUPS | {library.LOOP}
    calls = {*calls_on(sketch, kinds, "create_task", "start_soon"), *sketch.calls_to(*_SPELLINGS)}
    again = calls.intersection(sketch.repeated(ast.Call))
    return any(isinstance(item, ast.Call) for call in again for item in call.args[:1]) or any(
        call.args for call in again.intersection(sketch.calls("start_soon"))
    )


rule = Rule(
    code="PRF302",
    name="unbounded-task-spawn",
    summary="a loop over data of any length spawns a task in each turn",
    category="tasks",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=tuple(name.encode() for name in _METHODS),
        names=_SPELLINGS,
        imports=("asyncio", "anyio", "trio"),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=Benchmark(
        setup="items = range(n)",
        call="asyncio.run(handle_all(items))",
        sizes=(10, 1_000, 10_000),
        measure="memory",
    ),
    tests=False,
    service=True,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    if isinstance(node.func, cst.Attribute) and node.func.attr.value not in _METHODS:
        return
    found = spawn(context.objects, node) if context.flow.repeated(node) is not None else None
    if found is None or found.how not in ("task", "group") or found.name.endswith("run_coroutine_threadsafe"):
        return
    if not found.name.endswith("start_soon") and not isinstance(found.work, cst.Call):
        return  # a coroutine or future that is there already
    pile = next(piles(context, found), None)
    if pile is None or few(context, found, pile) or gathered(context, pile.loop):
        return
    if switched(context, node):
        return
    if pile.size is Size.UNKNOWN and _in_a_thread(found, context):
        return
    level = Severity.INFO if pile.crowd(context, found) != "many" else None
    yield rule.finding(context, node, _message(found), _fix(found, pile.loop, context), level)


def _in_a_thread(found: Spawn, context: Context) -> bool:
    """Whether the work is `to_thread(..)`: the default executor bounds the threads."""
    work = inner_work(context, found.work)
    return isinstance(work, cst.Call) and context.objects.function(work.func) == "asyncio.to_thread"


def _message(found: Spawn) -> str:
    kind = found.made.type if found.made is not None else ""
    if kind.startswith(("anyio.", "trio.")):
        cure = "call `CapacityLimiter.acquire_on_behalf_of` before `start_soon`"
    elif found.how == "group":
        cure = "the group joins its tasks, it does not bound them: acquire a slot before spawning"
    else:
        cure = "acquire a slot before spawning"
    return f"`{found.name}` spawns a task per item without admission control; {cure}"


def _fix(found: Spawn, loop: cst.CSTNode, context: Context) -> Fix | None:
    """Take a slot of a new semaphore before `tg.create_task(..)`, and give it back when the task ends."""
    tree, source = context.tree, context.source
    line = tree.statement(found.call)
    if context.config.target.low < (3, 11) or not _bare(found, line, loop, context):
        return None
    if _another_before(found.call, context):  # both would bind the same name: this one's turn is the next
        return None
    slots = next((name for name in ("slots", "task_slots") if name.encode() not in source.data), None)
    bound = import_edit(source, context.facts.tree, "asyncio", "Semaphore")
    if slots is None or bound is None or not isinstance(loop, (cst.For, cst.While)):
        return None
    semaphore, added = bound
    end = tree.span(found.call).end
    edits = [
        _line_above(loop, f"{slots} = {semaphore}({context.config.default_limit})", context),
        _line_above(line, f"await {slots}.acquire()", context),
        Edit(Span(end, end), f".add_done_callback(lambda _: {slots}.release())"),
    ]
    if added is not None:
        edits.append(added)
    return Fix("Take a slot before each spawn", tuple(sorted(edits)), Applicability.UNSAFE)


def _another_before(call: cst.Call, context: Context) -> bool:
    """Whether an earlier loop of the same function gets this fix, too."""
    functions = [above for above in context.tree.ancestors(call) if isinstance(above, cst.FunctionDef)]
    for node in walk(functions[-1]):
        if node is call:
            return False
        match node:
            case cst.Call(func=cst.Attribute(attr=cst.Name(value="create_task"))):
                found = spawn(context.objects, node)
                pile = next(piles(context, found), None) if found is not None else None
                if found and pile and _bare(found, context.tree.statement(node), pile.loop, context):
                    return True
    return False


def _bare(found: Spawn, line: cst.BaseStatement, loop: cst.CSTNode, context: Context) -> bool:
    """Whether the spawn is a statement of a loop that stands directly in the group's `async with`."""
    tree, call = context.tree, found.call
    if found.made is None or found.made.type != _TASK_GROUP or call.lpar or context.flow.one_line(line):
        return False
    if not isinstance(tree.parent(call), cst.Expr) or tree.parent(line) is not getattr(loop, "body", None):
        return False
    block = tree.parent(loop)
    opened = tree.parent(block) if block is not None else None
    receiver = call.func.value if isinstance(call.func, cst.Attribute) else None
    return isinstance(opened, cst.With) and any(
        context.objects.type(item.item) == _TASK_GROUP
        and item.asname is not None
        and dotted(item.asname.name) == dotted(receiver)
        for item in opened.items
    )


def _line_above(statement: cst.BaseStatement, text: str, context: Context) -> Edit:
    """A line before the statement and the comments that stick to it."""
    source, at = context.source, statement_lines(context.tree, statement).start
    line = source.line_of(at)
    while source.line_text(line - 1).lstrip().startswith("#"):
        line -= 1
    at = source.line_starts[line - 1]
    return Edit(Span(at, at), f"{indentation(context.tree, statement)}{text}\n")
