"""`task_done()` is skipped when the work raises, and `join()` waits for ever.

A queue counts its open items: `put()` adds one, `task_done()` takes one off, `join()` waits for
zero. An item whose work raises before `task_done()` stays open for good. The call belongs into a
`finally`. That alone is no cure where the exception ends the worker, too, because then the rest
of the queue stays open: see worker-loop-no-isolation, which shares its fix with this rule.

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

Found on every path from the `get()` to the end of the turn: an exception, `continue`, a branch.
Two calls for one item are found as well: the second raises ValueError.

Not flagged: `task_done()` right after `get()`, sentinels (`if item is None`), queues that no code
of the file joins; where the queue is a parameter of a function that other files
start, somebody else may join it: that is info.

The fix is unsafe: it wraps the work in `try`/`finally`, and where a failing item would end the
worker, it logs the exception and goes on.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.concurrency.accounting import Account, Exits, Unclear, is_done, item_names, sentinel
from perflint.analysis.concurrency.consumers import Consumer, consumer, joined, taken_from
from perflint.analysis.concurrency.coroutines import own_function
from perflint.analysis.concurrency.isolation import repair
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted, root
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import walk, walk_scope
from perflint.model.diagnostics import Finding, Severity


def _hopeful(sketch: Sketch) -> bool:
    counts = sketch.methods("task_done") if sketch.functions else []
    return any(not call.args and not call.keywords for call in counts)


rule = Rule(
    code="PRF402",
    name="task-done-not-in-finally",
    summary="`task_done()` is skipped when the work raises: `join()` waits for ever",
    category="pools",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(text=(b"task_done",), sketch=_hopeful),
    doc=__doc__,
    benchmark=None,
    service=True,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    if not is_done(node):
        return
    queue = dotted(node.func.value) if isinstance(node.func, cst.Attribute) else None
    function = own_function(context.tree, node)
    if queue is None or not isinstance(function, cst.FunctionDef):
        return
    loop = _loop(context, node, function, queue)
    body = loop if loop is not None else function
    same = [part for part in walk_scope(body.body) if is_done(part, queue)]
    counting = [part for part in same if not _for_sentinel(part, body, queue, context)]
    if not counting or counting[0] is not node or _counted_elsewhere(context, queue, body):
        return
    seen = joined(context, queue) and not _of_another(context, node, queue)
    if not seen and not _handed_in(context, node, queue):
        return
    item = consumer(context, loop, queue) if loop is not None else None
    harm = _harm(context, body, queue, item)
    if harm is None:
        return
    fix = repair(context, item) if item is not None and item.queue == queue and "twice" not in harm else None
    yield rule.finding(context, node, harm, fix, None if seen else Severity.INFO)


def _loop(
    context: Context, node: cst.CSTNode, function: cst.FunctionDef, queue: str
) -> cst.For | cst.While | None:
    """The loop whose turns each take an item."""
    takes = [part for part in walk_scope(function.body) if taken_from(context.objects, part, queue) == queue]
    for loop in context.flow.loops(node):
        item = consumer(context, loop, queue)
        if (item is not None and item.queue == queue) or any(
            context.flow.inside(part, loop) for part in takes
        ):
            return loop
    return None


def _for_sentinel(node: cst.CSTNode, body: cst.CSTNode, queue: str, context: Context) -> bool:
    """Whether the call stands in the branch for the item that means the end."""
    below = node
    items = item_names(context, body, queue)
    for above in context.tree.ancestors(node, body):
        if isinstance(above, cst.If) and above.body is below and sentinel(above.test, items) is True:
            return True
        below = above
    return False


def _counted_elsewhere(context: Context, queue: str, body: cst.CSTNode) -> bool:
    """Whether the code mentions another function of the file that takes no item, but counts one as done."""
    last = queue.rpartition(".")[2]
    found: dict[str, set[ast.AST | None]] = {"task_done": set(), "get": set(), "get_nowait": set()}
    for call, home in context.facts.outline.calls:
        match call.func:
            case ast.Attribute(value=ast.Name(id=name) | ast.Attribute(attr=name), attr=method):
                if name == last and method in found:
                    found[method].add(home.function)
    others = found["task_done"] - found["get"] - found["get_nowait"]
    names = {item.name for item in others if isinstance(item, (ast.FunctionDef, ast.AsyncFunctionDef))}
    return any(isinstance(node, cst.Name) and node.value in names for node in walk(body))


def _of_another(context: Context, node: cst.CSTNode, queue: str) -> bool:
    """Whether the queue is made in a function that does not wait for it: other functions use its name, too."""
    name = queue.partition(".")[0]
    owner = context.scope(node).owner(name)
    if owner is None or not isinstance(owner.node, cst.FunctionDef) or name in ("self", "cls"):
        return False
    if any(item.kind == "parameter" for item in owner.bindings[name]):
        return False
    return not any(_joins(part, queue) for part in walk(owner.node))


def _joins(node: cst.CSTNode, queue: str) -> bool:
    match node:
        case cst.Attribute(value=receiver, attr=cst.Name(value="join")):
            return (dotted(receiver) or "").rpartition(".")[2] == queue.rpartition(".")[2]
    return False


def _handed_in(context: Context, node: cst.CSTNode, queue: str) -> bool:
    """Whether the queue is a parameter, and nobody here starts the function: who does may wait for it."""
    name = (
        root(node.func.value) if isinstance(node, cst.Call) and isinstance(node.func, cst.Attribute) else None
    )
    owner = context.scope(node).owner(name) if name and name == queue else None
    if owner is None or all(item.kind != "parameter" for item in owner.bindings[queue]):
        return False
    function = own_function(context.tree, node)
    started = isinstance(function, cst.FunctionDef) and context.roles.starts(
        context.objects.definition(function)
    )
    return not started


def _harm(
    context: Context, body: cst.For | cst.While | cst.FunctionDef, queue: str, item: Consumer | None
) -> str | None:
    taken = item is not None and item.queue == queue and not context.flow.inside(item.take, item.loop.body)
    done = (part for part in walk_scope(body.body) if is_done(part, queue))
    protected = all(any(isinstance(up, cst.Finally) for up in context.tree.ancestors(part)) for part in done)
    try:
        out: Exits = Account(context, queue, item_names(context, body, queue), protected).block(
            body.body.body, frozenset({0 if taken else None})
        )
    except Unclear:
        return None
    ends = out.normal | out.turned
    if 2 in ends | out.raised | out.left | out.returned:
        return f"a path calls `{queue}.task_done()` twice for one item, which raises ValueError; call it once, in finally"
    if 0 in out.raised:
        return f"if the work raises, task_done() is skipped and `{queue}.join()` waits for ever; call it in finally"
    if 0 in ends:
        return f"a path skips task_done(), and `{queue}.join()` waits for ever; call it in finally"
    return None
