"""A coroutine opens an executor in a plain `with`.

Leaving the block waits for every task of the executor, in the thread of the event loop. While the
coroutine awaits, all is well; but when it is cancelled or fails, `__exit__` blocks the whole loop until
the slowest thread has ended, and a timeout cannot take effect.

Bad:

    import asyncio
    from concurrent.futures import ThreadPoolExecutor


    async def digest(count, path):
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor() as pool:
            return await loop.run_in_executor(pool, count, path)

Good:

    import asyncio
    from concurrent.futures import ThreadPoolExecutor


    async def digest(count, path):
        loop = asyncio.get_running_loop()
        return await asyncio.to_thread(count, path)

Found for executors of `concurrent.futures` whose block awaits or returns. It is only noted in what the
file hands to `asyncio.run`: that may have the loop to itself.

Not flagged: an executor that is made once and only used here, sync functions (nested ones, too), a
block without `await` and `return`: nothing is awaited there that could be cancelled.

The fix writes `asyncio.to_thread`, where all that the block does is to await one call in a
`ThreadPoolExecutor()`. It is unsafe: context variables are copied, and the threads are the loop's own,
which are limited.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.coroutines import coroutine, entry
from perflint.analysis.gates import Gate
from perflint.analysis.match import sole_small
from perflint.analysis.rewrite import replace
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import walk_scope
from perflint.fixing.imports import import_edit
from perflint.model.diagnostics import Applicability, Finding, Fix, Severity

_SPELLINGS = library.spellings(library.EXECUTORS)


def _hopeful(sketch: Sketch) -> bool:
    made = sketch.calls_to(*_SPELLINGS, *library.WRAPPERS)
    return bool(sketch.of(ast.AsyncFunctionDef)) and not set(sketch.entered).isdisjoint(made)


rule = Rule(
    code="PRF414",
    name="executor-with-in-async",
    summary="`with` of an executor in a coroutine blocks the event loop when it is cancelled or fails",
    category="pools",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(names=_SPELLINGS, within=(b"async", b"with"), inner=True, sketch=_hopeful),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)


@rule.visits(cst.With)
def check(node: cst.With, context: Context) -> Iterator[Finding]:
    function = coroutine(context.tree, node)
    if node.asynchronous is not None or function is None:
        return
    for item in node.items:
        made = context.objects.of(item.item) if isinstance(item.item, cst.Call) else None
        if made is None or made.type not in library.EXECUTORS or not _leaves_early(node):
            continue
        name = made.type.rpartition(".")[2]
        threads = made.type == library.THREAD_EXECUTOR
        instead = "use `asyncio.to_thread` or keep one executor" if threads else "keep one executor"
        message = (
            f"`with {name}` in `async def` blocks the event loop in __exit__ until every task has ended, "
            f"on cancellation too; {instead}"
        )
        fix = _fix(node, item, context) if threads else None
        # what `asyncio.run` runs may have the loop to itself
        alone = Severity.INFO if entry(context.objects, function) else None
        yield rule.finding(context, item.item, message, fix, alone)
        return


def _leaves_early(node: cst.With) -> bool:
    return any(isinstance(part, (cst.Await, cst.Return)) for part in walk_scope(node.body))


def _fix(node: cst.With, item: cst.WithItem, context: Context) -> Fix | None:
    """`return await loop.run_in_executor(pool, f, x)` as the whole block becomes `asyncio.to_thread(f, x)`."""
    tree = context.tree
    small = sole_small(node.body)
    match item, small:
        case (
            cst.WithItem(item=cst.Call(args=[]), asname=cst.AsName(name=cst.Name(value=name))),
            cst.Return(
                value=cst.Await(
                    expression=cst.Call(
                        func=cst.Attribute(value=loop, attr=cst.Name(value="run_in_executor")),
                        args=[pool, *args],
                    )
                )
            ),
        ):
            pass
        case _:
            return None
    if len(node.items) != 1 or context.objects.type(loop) != library.LOOP or not args:
        return None
    if not isinstance(pool.value, cst.Name) or pool.value.value != name or pool.star:
        return None
    span = tree.span(node)
    if tree.comments(span) or context.config.target.low < (3, 9) or _mentions(args, name):
        return None
    imported = import_edit(context.source, context.facts.tree, "asyncio", None)
    if imported is None:
        return None
    expression, missing = imported
    given = context.source.slice(tree.span(args[0]).start, tree.span(args[-1]).end).rstrip().rstrip(",")
    edit = replace(tree, node, f"return await {expression}.to_thread({given})")
    edits = (edit,) if missing is None else (missing, edit)
    return Fix("Use asyncio.to_thread", edits, Applicability.UNSAFE)


def _mentions(args: list[cst.Arg], name: str) -> bool:
    return any(
        isinstance(part, cst.Name) and part.value == name for item in args for part in walk_scope(item)
    )
