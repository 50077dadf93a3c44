"""A worker swallows its errors: no log, no metric, no result.

Nobody stands above a worker who could notice that the work is not done. Where it drops the
exception, a service that fails every item looks like one that is idle.

Bad:

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
                pass


    threading.Thread(target=worker, daemon=True).start()

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
                logger.exception("worker: error ignored")


    threading.Thread(target=worker, daemon=True).start()

A worker is a function that this file hands to a thread, process, task or executor. Found is an
`except` for every exception that only passes, continues or returns, and `suppress(Exception)`, in a
loop of a worker or around the work of a submitted function.

Not flagged: narrow types, handlers that do anything (log, count, put, call), a comment in the
handler that tells why, `suppress` where the next turn tries the same again, imports, clean-up (`close()`, `cancel()`), code outside of workers.

The fix logs the exception where the module has a logger. It is unsafe because it adds output.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.concurrency.consumers import PACKAGES, consumer, may_raise
from perflint.analysis.concurrency.coroutines import own_function
from perflint.analysis.concurrency.handlers import WIDE, is_silent, is_wide
from perflint.analysis.concurrency.loggers import module_logger
from perflint.analysis.concurrency.roles import closes, is_cleanup, starts_in
from perflint.analysis.gates import Gate
from perflint.analysis.match import sole_small
from perflint.analysis.outline import leaf
from perflint.analysis.rewrite import indentation, statement_lines
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import GAP, Sketch
from perflint.analysis.tree import walk_scope
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

_NOTHING = rb"(?:pass|continue|return|None|True|False|[\d.]|[bBfFrRtTuU]{0,2}[\"'])"
_SILENT = re.compile(rb"\bexcept\b[^:]*(?:(?:[\[{]|\blambda\b|:=)[\s\S]{0,400}?)?:" + GAP + _NOTHING)


def _hopeful(sketch: Sketch) -> bool:
    suppressing = sketch.calls_to("contextlib.suppress")
    if not (suppressing or sketch.says(_SILENT)):
        return False
    silent = [node for node in sketch.of(ast.ExceptHandler) if all(map(_does_nothing, node.body))]
    suppressed = [item for call in suppressing for item in call.args]
    caught = [*suppressed, *(node.type for node in silent if node.type is not None)]
    wide = {leaf(part) for item in caught for part in ast.walk(item)} & {"Exception", "BaseException"}
    bare = any(node.type is None for node in silent) or (caught and sketch.mentions(*WIDE))
    return bool(wide or bare) and starts_in(sketch)


def _does_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Continue() | ast.Return(value=None | ast.Constant(value=None)):
            return True
        case ast.Expr(value=ast.Constant() | ast.JoinedStr()):
            return True
    return False


rule = Rule(
    code="PRF410",
    name="silent-worker-except",
    summary="a worker swallows its errors without log, metric or result",
    category="pools",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(b"except Exception", b"except BaseException", b"except:", b"except (", b"suppress("),
        imports=tuple(sorted(PACKAGES)),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)

_MESSAGE = "worker `{name}` swallows errors without log, metric or result; log the exception"


@rule.visits(cst.Try)
def check(node: cst.Try, context: Context) -> Iterator[Finding]:
    for handler in node.handlers:
        if _is_wide(handler, context) and is_silent(handler) and not _breaks(handler):
            name = _worker(node, context)
            if name is None or _explained(node, handler, context) or not _works(node.body, context):
                return
            head = Span(context.tree.span(handler).start, context.tree.span(handler.body).start)
            message = _MESSAGE.format(name=name)
            yield rule.finding(
                context, _header(handler, head, context), message, _fix(handler, name, context)
            )
            return


@rule.visits(cst.With)
def check_suppress(node: cst.With, context: Context) -> Iterator[Finding]:
    for item in node.items:
        match item.item:
            case cst.Call(func=function, args=args) if args:
                if context.names.qualified(function) != "contextlib.suppress":
                    continue
                if not any(context.names.qualified(arg.value) in WIDE for arg in args):
                    continue
                name = None if _periodic(node, context) else _worker(node, context)
                if name is not None and _works(node.body, context) and not _noted(node, context):
                    yield rule.finding(context, item.item, _MESSAGE.format(name=name))


def _is_wide(handler: cst.ExceptHandler, context: Context) -> bool:
    return is_wide(context.names, handler)


def _breaks(handler: cst.ExceptHandler) -> bool:
    return any(isinstance(node, cst.Break) for node in walk_scope(handler.body))


def _worker(node: cst.CSTNode, context: Context) -> str | None:
    """The worker whose loop, or whose whole work, the node stands around."""
    function = own_function(context.tree, node)
    if not isinstance(function, cst.FunctionDef) or closes(function.name.value):
        return None
    if context.facts.packages.isdisjoint(PACKAGES) or is_cleanup(context.tree, node):
        return None
    starts = context.roles.starts(context.objects.definition(function))
    if not starts:
        return None
    submitted = any(start.by in ("executor", "group", "to-thread") for start in starts)
    loop = context.flow.loop(node)
    block = _block(node, context) if loop is not None else context.tree.parent(node)
    whole = block is (loop or function).body and not (loop and context.flow.loop(loop))
    return function.name.value if whole and (loop is not None or submitted) else None


def _block(node: cst.CSTNode, context: Context) -> cst.CSTNode | None:
    """The block that the node stands in, or that ends with it: `if item: try: ...`, `with lock: try: ...`."""
    block = context.tree.parent(node)
    while isinstance(block, cst.IndentedBlock) and block.body[-1] is node:
        node = context.tree.parent(block) or block
        if not (isinstance(node, cst.With) or (isinstance(node, cst.If) and node.orelse is None)):
            break
        outer = context.tree.parent(node)
        if not isinstance(outer, cst.IndentedBlock):
            break
        block = outer
    return block


def _periodic(node: cst.CSTNode, context: Context) -> bool:
    """Whether the next turn of the loop tries the same again, as no item is lost: there `suppress` is meant."""
    loop = context.flow.loop(node)
    return isinstance(loop, cst.While) and consumer(context, loop) is None


def _works(body: cst.BaseSuite, context: Context) -> bool:
    """Whether the body does more than import, close or look something up."""
    nodes = list(walk_scope(body))
    if any(isinstance(item, (cst.Import, cst.ImportFrom)) for item in nodes):
        return False
    calls = [item for item in nodes if isinstance(item, cst.Call) and may_raise(item)]
    return any(not is_cleanup(context.tree, item, item) for item in calls)


def _explained(node: cst.Try, handler: cst.ExceptHandler, context: Context) -> bool:
    """Whether a comment in the handler tells why."""
    span = context.tree.span(handler)
    end = statement_lines(context.tree, node).end if handler is node.handlers[-1] else span.end
    if node.orelse is not None or node.finalbody is not None:
        end = span.end
    line_end = context.source.line_span(context.source.line_of(span.end - 1))[1]
    return context.tree.comments(Span(span.start, min(end, line_end) if end > span.end else line_end))


def _noted(node: cst.With, context: Context) -> bool:
    first = context.source.line_of(context.tree.span(node).start)
    start, end = context.source.line_span(first)
    return context.tree.comments(Span(start, end))


def _header(handler: cst.ExceptHandler, head: Span, context: Context) -> Span:
    """`except Exception:` without its body."""
    text = context.source.slice(*head)
    return Span(head.start, head.start + len(text.rstrip().encode()))


def _fix(handler: cst.ExceptHandler, name: str, context: Context) -> Fix | None:
    """Log before going on, where the module has a logger."""
    logger = module_logger(context.names, handler)
    small = sole_small(handler.body)
    if logger is None or small is None:
        return None
    call = f'{logger}.exception("{name}: error ignored")'
    span = context.tree.span(small)
    if isinstance(small, (cst.Pass, cst.Expr)):
        edit = Edit(span, call)
    elif context.flow.one_line(small):
        return None
    else:
        margin = indentation(context.tree, context.tree.statement(small))
        edit = Edit(Span(span.start, span.start), f"{call}\n{margin}")
    return Fix("Log the exception", (edit,), Applicability.UNSAFE)
