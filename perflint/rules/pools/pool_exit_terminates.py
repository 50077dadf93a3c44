"""Leaving `with Pool()` terminates the workers: what is still pending is killed without an error.

`Pool.__exit__` calls `terminate()`, unlike that of an executor, which waits. Tasks that were started
with `apply_async`, `map_async`, `starmap_async` or `imap` and are not done by then never are, and
a `get()` after the block waits for ever.

Bad:

    from multiprocessing import Pool


    def convert_all(files):
        with Pool() as pool:
            for file in files:
                pool.apply_async(convert, (file,))

Good:

    from multiprocessing import Pool


    def convert_all(files):
        with Pool() as pool:
            for file in files:
                pool.apply_async(convert, (file,))
            pool.close()
            pool.join()

Not flagged: `map`, `starmap` and `apply`, which wait by themselves; results that are asked for
inside of the block on every path; `join()` inside of it, of the pool or of anything else that may
wait for the tasks; generators; executors.

The fix appends `close()` and `join()`. It is unsafe: the block now waits. Where the results are
asked for after the block none is offered: move that into the block.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.carriers import carriers
from perflint.analysis.concurrency.fates import bound_name, collector, loads
from perflint.analysis.gates import Gate
from perflint.analysis.match import contains, dotted
from perflint.analysis.rewrite import indentation, insert_after
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Function, walk_scope
from perflint.model.diagnostics import Applicability, Finding, Fix, Severity

_RESULTS = {"apply_async", "map_async", "starmap_async"}
_ITERATORS = {"imap", "imap_unordered"}


def _hopeful(sketch: Sketch) -> bool:
    return bool(sketch.of(ast.With) and sketch.methods(*_RESULTS, *_ITERATORS)) and sketch.file_mentions(
        *library.makers(library.POOLS)
    )


rule = Rule(
    code="PRF409",
    name="pool-exit-terminates",
    summary="leaving `with Pool()` kills the tasks that are still pending",
    category="pools",
    severity=Severity.ERROR,
    since="0.1",
    fix="sometimes",
    gate=Gate(text=(b"apply_async", b"map_async", b".imap"), imports=("multiprocessing",), sketch=_hopeful),
    doc=__doc__,
    benchmark=None,
)

_WAITS = {"get", "join", "wait", "result", "acquire", "recv", "sleep"}
_KILLED = (
    "leaving `with {pool}` terminates its workers: pending {method} tasks are killed; "
    "get() the results, or close() and join(), inside the block"
)
_HANGS = (
    "leaving `with {pool}` terminates its workers, so asking for this {method} result after the block "
    "can wait for ever; ask inside the block"
)


@rule.visits(cst.With)
def check(node: cst.With, context: Context) -> Iterator[Finding]:
    if node.asynchronous is not None or contains(node.body, cst.Yield):
        return
    for item in node.items:
        name = item.asname.name if item.asname is not None else item.item
        place = dotted(name)
        if place is None or context.objects.type(item.item) not in library.POOLS:
            continue
        for start in walk_scope(node.body):
            if not isinstance(start, cst.Call) or not _starts(start, place):
                continue
            late = _late(start, node, context)
            if late is None:
                continue
            method = start.func.attr.value if isinstance(start.func, cst.Attribute) else ""
            pool = context.tree.code(item.item)
            pool = pool if len(pool) <= 60 else "Pool(...)"
            message = (_HANGS if late else _KILLED).format(pool=pool, method=method)
            yield rule.finding(context, start, message, None if late else _fix(node, place, context))
            break


def _starts(node: cst.CSTNode, place: str) -> bool:
    match node:
        case cst.Call(func=cst.Attribute(value=receiver, attr=cst.Name(value=method))):
            return method in _RESULTS | _ITERATORS and dotted(receiver) == place
    return False


def _late(start: cst.Call, block: cst.With, context: Context) -> bool | None:
    """Whether the result is asked for after the block (True) or never (False); None: in time, or not known."""
    tree = context.tree
    if _waited_for(start, block, context):
        return None
    parent = tree.parent(start)
    if isinstance(parent, cst.Expr):
        return False
    if isinstance(parent, cst.Return):
        return True
    name = bound_name(context.names, start) or collector(context.names, start)
    if name is None:
        return None  # handed on, or iterated where it stands
    scope = context.scope(name)
    if scope.kind == "module" or name.value in scope.declared or context.flow.introspected(scope):
        return None
    within = tree.span(block)
    places = carriers(block.body, lambda node: node is start)
    reads = [
        read
        for place in places | {name.value}
        for read in _reads(place, name, context)
        if not _collects(read, context)
    ]
    inside = [read for read in reads if within.start <= tree.span(read).start < within.end]
    if any(_certain(read, start, block, context) for read in inside):
        return None
    after = [read for read in reads if tree.span(read).start >= within.end]
    returned = any(isinstance(tree.parent(read), cst.Return) for read in inside)
    return bool(after) or returned


def _reads(place: str, name: cst.Name, context: Context) -> list[cst.Name]:
    if place == name.value:
        return loads(context.names, name)
    return context.flow.reads(place, context.scope(name))


def _collects(read: cst.Name, context: Context) -> bool:
    """`results.append(..)` asks for nothing, and neither does `return results`."""
    parent = context.tree.parent(read)
    return isinstance(parent, cst.Attribute) and parent.attr.value in ("append", "add", "extend")


def _certain(read: cst.CSTNode, start: cst.CSTNode, block: cst.With, context: Context) -> bool:
    """Whether the read stands on every path from `start` to the end of the block."""
    if isinstance(context.tree.parent(read), cst.Return):
        return False
    for above in context.tree.ancestors(read):
        if above is block:
            return True
        rare = isinstance(above, (cst.If, cst.Else, cst.ExceptHandler, cst.MatchCase, cst.IfExp))
        if rare and not context.flow.inside(start, above):
            return False
        if isinstance(above, Function):
            return True  # called by whom and when is not known
    return False


def _waited_for(start: cst.CSTNode, block: cst.With, context: Context) -> bool:
    """Whether something after `start` waits in the block: `pool.join()`, `done.wait()`, `queue.get()`."""
    at = context.tree.span(start).start
    for node in walk_scope(block.body):
        match node:
            case cst.Call(func=cst.Attribute(attr=cst.Name(value=method)) | cst.Name(value=method)):
                plain = method != "get" or not node.args or node.args[0].keyword is not None
                if method not in _WAITS or not plain or not _certain(node, start, block, context):
                    continue
                later = context.tree.span(node).end > at
                if later or any(context.flow.inside(node, loop) for loop in context.flow.loops(start)):
                    return True
    return False


def _fix(block: cst.With, place: str, context: Context) -> Fix | None:
    """Close and join the pool at the end of the block."""
    tree = context.tree
    if not isinstance(block.body, cst.IndentedBlock):
        return None
    last = block.body.body[-1]
    if context.flow.one_line(last) or any(
        isinstance(node, (cst.Return, cst.Raise, cst.Break, cst.Continue)) for node in walk_scope(last)
    ):
        return None
    margin = indentation(tree, last)
    edit = insert_after(tree, last, f"{place}.close()\n{margin}{place}.join()")
    return Fix("Wait for the tasks", (edit,), Applicability.UNSAFE)
