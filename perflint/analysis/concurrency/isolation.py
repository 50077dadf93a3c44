"""One fix for a worker loop: an item that fails is logged, counted as done, and the loop goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import libcst as cst

from perflint.analysis.concurrency.accounting import is_done
from perflint.analysis.concurrency.consumers import Consumer, exposed, fatal, outer_handlers
from perflint.analysis.concurrency.handlers import is_wide
from perflint.analysis.concurrency.loggers import logging_expression
from perflint.analysis.flow import bound_names
from perflint.analysis.match import contains
from perflint.analysis.rewrite import indent_unit, indentation, indented, statement_lines
from perflint.analysis.tree import walk_scope
from perflint.fixing.imports import runtime_import
from perflint.model.diagnostics import Applicability, Edit, Fix, Span

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_LEAVES = (cst.Break, cst.Return, cst.Continue)


class _Parts(NamedTuple):
    """The statements of the loop's body that a fix keeps apart."""

    first: cst.BaseStatement  # of the work
    last: cst.BaseStatement
    done: cst.SimpleStatementLine | None  # `q.task_done()` at the end of the body
    margin: str
    unit: str


def repair(context: Context, item: Consumer) -> Fix | None:
    """Isolate each item if one can end the worker, and count it as done in any case. It is never safe."""
    parts = _parts(context, item)
    if parts is None or not _may_move(context, item, parts):
        return None
    if context.in_test or not fatal(context, item):
        if parts.done is None:
            return None
        edits = _wrapped(context, parts, [f"{parts.margin}try:\n"], [])
        return Fix("Call task_done() in finally", tuple(edits), Applicability.UNSAFE)
    edits_or_none = _isolated(context, item, parts)
    return Fix("Isolate each item", tuple(edits_or_none), Applicability.UNSAFE) if edits_or_none else None


def _parts(context: Context, item: Consumer) -> _Parts | None:
    loop, tree = item.loop, context.tree
    if not isinstance(loop.body, cst.IndentedBlock):
        return None
    statements = list(loop.body.body)
    if isinstance(loop, cst.While) and not context.flow.inside(item.take, loop.test):
        at = next(i for i, part in enumerate(statements) if context.flow.inside(item.take, part))
        statements = statements[at + 1 :]
    done = statements.pop() if statements and _is_done_line(statements[-1], item.queue) else None
    while statements and _is_guard(statements[0], item.queue if done is not None else None):
        del statements[0]
    if not statements:
        return None
    if any(
        not any(context.flow.inside(call, part) for part in statements) for call in exposed(context, item)
    ):
        return None
    unit = indent_unit(tree, loop.body)
    return _Parts(statements[0], statements[-1], done, indentation(tree, statements[0]), unit)  # type: ignore[arg-type]


def _is_guard(statement: cst.CSTNode, counted: str | None) -> bool:
    """`if item is None: break`, before the work begins; a turn of a `counted` queue must count the item."""
    match statement:
        case cst.If(orelse=None, body=cst.IndentedBlock(body=[*_, cst.SimpleStatementLine(body=[*_, last])])):
            pass
        case cst.If(orelse=None, body=cst.SimpleStatementSuite(body=[*_, last])):
            pass
        case _:
            return False
    if isinstance(last, cst.Continue) and counted is not None:
        return any(is_done(node, counted) for node in walk_scope(statement))
    return isinstance(last, _LEAVES)


def _is_done_line(statement: cst.CSTNode, queue: str) -> bool:
    match statement:
        case cst.SimpleStatementLine(body=[cst.Expr(value=value)]):
            return is_done(value, queue)
    return False


def _may_move(context: Context, item: Consumer, parts: _Parts) -> bool:
    """Whether the work may stand in a `try` of its own: nothing outside depends on how it ends."""
    flow, loop = context.flow, item.loop
    work = _work(item, parts)
    if any(flow.one_line(part) for part in (parts.first, parts.last)) or any(map(_yields, work)):
        return False
    if (
        any(is_done(node, item.queue) for part in work for node in walk_scope(part))
        and parts.done is not None
    ):
        return False
    if any(not is_wide(context.names, handler) for handler in outer_handlers(context, loop)):
        return False
    scope = context.scope(loop.body)
    names = set().union(*(_bound(node) for part in work for node in walk_scope(part)))
    return not any(flow.reads_after(name, scope, loop) for name in names)


def _yields(part: cst.CSTNode) -> bool:
    return contains(part, cst.Yield)


def _work(item: Consumer, parts: _Parts) -> list[cst.CSTNode]:
    body = list(item.loop.body.body)
    return body[body.index(parts.first) : body.index(parts.last) + 1]


def _bound(node: cst.CSTNode) -> set[str]:
    match node:
        case cst.AssignTarget(target=target) | cst.AnnAssign(target=target) | cst.AugAssign(target=target):
            return bound_names(target)
        case cst.For(target=target) | cst.NamedExpr(target=target):
            return bound_names(target)
        case cst.WithItem(asname=cst.AsName(name=name)):
            return bound_names(name)
    return set()


def _isolated(context: Context, item: Consumer, parts: _Parts) -> list[Edit] | None:
    function = context.tree.function(item.loop)
    assert function is not None
    margin, unit = parts.margin, parts.unit
    guard = runtime_import(context.source, context.facts.tree, context.config, "guard")
    if guard is not None:
        name, added = guard
        opening = f'with {name}("{function.name.value}"):\n'
        if parts.done is None:
            edits = _wrapped(context, parts, [f"{margin}{opening}"], [])
        else:
            edits = _wrapped(context, parts, [f"{margin}try:\n", f"{margin}{unit}{opening}"], [])
        return edits + ([added] if added else [])
    logger = logging_expression(context, item.loop.body)
    if logger is None:
        return None
    expression, added = logger
    handler = [
        f"{margin}except Exception:\n",
        f'{margin}{unit}{expression}.exception("{function.name.value}: item failed")\n',
    ]
    inner = _bare_try(context, item, parts)
    edits = (
        _with_handler(context, inner, handler)
        if inner is not None
        else _wrapped(context, parts, [f"{margin}try:\n"], handler)
    )
    return edits + ([added] if added else [])


def _bare_try(context: Context, item: Consumer, parts: _Parts) -> cst.Try | None:
    """The `try` that is all of the work and lacks nothing but a handler for every Exception."""
    first = parts.first
    if first is not parts.last or parts.done is not None or not isinstance(first, cst.Try) or first.orelse:
        return None
    return None if _catches_all(context, first) else first


def _catches_all(context: Context, item: cst.Try) -> bool:
    return any(is_wide(context.names, handler) for handler in item.handlers)


def _with_handler(context: Context, item: cst.Try, handler: list[str]) -> list[Edit]:
    tree = context.tree
    if item.finalbody is not None:
        at = statement_lines(tree, item.finalbody).start  # type: ignore[arg-type]
        return [Edit(Span(at, at), "".join(handler))]
    return [_after(context, item, "".join(handler))]


def _wrapped(context: Context, parts: _Parts, opening: list[str], handler: list[str]) -> list[Edit]:
    """The work between `opening` and `handler`, a level deeper for each line of `opening`."""
    tree, deeper = context.tree, parts.unit * len(opening)
    lines = Span(statement_lines(tree, parts.first).start, _end(context, parts.last))
    edits = _preceded(indented(tree, lines, deeper), opening)
    if parts.done is None:
        return [*edits, _after(context, parts.last, "".join(handler))] if handler else edits
    # comments between the work and task_done() belong to the latter
    rest = Span(lines.end, statement_lines(tree, parts.done).end)
    closing = [*handler, f"{parts.margin}finally:\n"]
    return [*edits, *_preceded(indented(tree, rest, parts.unit), closing)]


def _preceded(edits: list[Edit], text: list[str]) -> list[Edit]:
    """The same insertions, whole lines of text in front of the first."""
    first, *rest = edits
    return [Edit(first.span, "".join(text) + first.text), *rest]


def _end(context: Context, item: cst.BaseStatement) -> int:
    """Where the lines of a statement end, with the comments below that are indented deeper than it."""
    source, margin = context.source, indentation(context.tree, item)
    end = statement_lines(context.tree, item).end
    while end < len(source.data):
        text = source.line_text(source.line_of(end))
        bare = text.lstrip()
        if not bare.startswith("#") or len(text) - len(bare) <= len(margin):
            break
        start = source.line_of(end)
        end = source.line_starts[start] if start < len(source.line_starts) else len(source.data)
    return end


def _after(context: Context, item: cst.BaseStatement, text: str) -> Edit:
    """Whole lines below a statement, also where it ends the file without a line end."""
    end = _end(context, item)
    ends_line = context.source.data[end - 1 : end].endswith((b"\n", b"\r"))
    return Edit(Span(end, end), text if ends_line else "\n" + text.rstrip("\n"))
