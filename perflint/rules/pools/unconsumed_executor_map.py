"""The result of `Executor.map()` is never iterated, so every exception is discarded.

All tasks run either way; what they return or raise waits in an iterator that nobody asks.

Bad:

    from concurrent.futures import ThreadPoolExecutor


    def upload_all(files):
        with ThreadPoolExecutor() as executor:
            executor.map(upload, files)

Good:

    from concurrent.futures import ThreadPoolExecutor


    def upload_all(files):
        with ThreadPoolExecutor() as executor:
            for _ in executor.map(upload, files):
                pass

The same holds for `imap` and `imap_unordered` of a multiprocessing pool.

Not flagged: results that are iterated, returned, yielded or handed on, `Pool.map` (which raises by
itself), functions of the file that catch every Exception themselves, objects that are not known
to be executors or pools. `map_async` and `starmap_async` belong to apply-async-no-error-path.

The fix is unsafe: the first exception now ends the function. In a coroutine none is offered,
because the loop would block the other tasks.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.coroutines import coroutine
from perflint.analysis.concurrency.fates import fate, forgotten
from perflint.analysis.concurrency.guarded import catches, decorated, referred
from perflint.analysis.gates import Gate
from perflint.analysis.possible import calls_on
from perflint.analysis.rewrite import indent_unit, insert_after
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

_LAZY = {
    **{kind: {"map"} for kind in library.EXECUTORS},
    **{kind: {"imap", "imap_unordered"} for kind in library.POOLS},
}


def _hopeful(sketch: Sketch) -> bool:
    calls = calls_on(sketch, library.EXECUTORS, "map")
    return forgotten(sketch, [*calls, *calls_on(sketch, library.POOLS, "imap", "imap_unordered")])


rule = Rule(
    code="PRF404",
    name="unconsumed-executor-map",
    summary="`Executor.map()` whose result is never iterated discards every exception",
    category="pools",
    severity=Severity.ERROR,
    since="0.1",
    fix="sometimes",
    gate=Gate(text=(b".map", b".imap"), imports=("concurrent", "multiprocessing"), sketch=_hopeful),
    doc=__doc__,
    benchmark=None,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    match node.func:
        case cst.Attribute(attr=cst.Name(value="map" | "imap" | "imap_unordered" as method)):
            pass
        case _:
            return
    if fate(context.names, context.flow, node) not in ("dropped", "underscore", "unread"):
        return
    kind = context.objects.type(node.func.value)
    if kind is None or method not in _LAZY.get(kind, ()):
        return
    function = referred(context.objects, node.args[0].value) if node.args else None
    if function is not None and (decorated(function) or catches(function)):
        return
    name = "Executor" if kind in library.EXECUTORS else "Pool"
    message = f"`{name}.{method}()` result never iterated: every exception is discarded; iterate over it"
    yield rule.finding(context, node, message, _fix(node, context))


def _fix(node: cst.Call, context: Context) -> Fix | None:
    """Turn the statement into a loop over the results."""
    tree = context.tree
    line = tree.statement(node)
    if not isinstance(line, cst.SimpleStatementLine) or context.flow.one_line(node) or node.lpar:
        return None
    if coroutine(tree, node) is not None or not _underscore_free(node, context):
        return None
    match line.body[0]:
        case (
            cst.Expr(value=value) | cst.Assign(targets=[cst.AssignTarget(target=cst.Name())], value=value)
        ) if value is node:
            start, at = tree.span(line).start, tree.span(node)
        case _:
            return None
    if tree.comments(Span(start, at.start)):
        return None
    block = tree.parent(line)
    unit = indent_unit(tree, block) if isinstance(block, cst.IndentedBlock) else tree.module.default_indent
    below = insert_after(tree, line, f"{unit}pass")
    edits = Edit(Span(start, at.start), "for _ in "), Edit(Span(at.end, at.end), ":"), below
    return Fix("Iterate over the results", edits, Applicability.UNSAFE)


def _underscore_free(node: cst.Call, context: Context) -> bool:
    """Whether `_` is nobody's: often it translates."""
    scope = context.scope(node)
    if "_" in context.facts.shadows or "_" in scope.declared:
        return False
    return not any("_" in item.reads for item in (scope, *scope.within()))
