"""`apply_async` without `get()` or `error_callback` loses the exception of the task.

The pool keeps what the task raises in the AsyncResult. Nobody asks it, and nothing is printed.
`callback=` is called for successes only, and `wait()` does not raise.

Bad:

    import logging
    from multiprocessing import Pool

    logger = logging.getLogger(__name__)


    def convert_all(files):
        pool = Pool()
        for file in files:
            pool.apply_async(convert, (file,))
        pool.close()
        pool.join()

Good:

    import logging
    from multiprocessing import Pool

    logger = logging.getLogger(__name__)


    def convert_all(files):
        pool = Pool()
        for file in files:
            pool.apply_async(convert, (file,), error_callback=lambda error: logger.error("convert failed", exc_info=error))
        pool.close()
        pool.join()

The same holds for `map_async` and `starmap_async`, and for thread pools. Where the results are
wanted, `result.get(timeout=...)` is the better cure: an exception that cannot be pickled makes
`get()` without a timeout wait for ever.

Not flagged: results that are returned, stored or handed on, `get()` and `successful()`, functions
of the file that catch every Exception themselves, objects that are not known to be pools (Celery's
`task.apply_async()`).

The fix logs the exception. It is unsafe because it adds output.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.fates import called_back, fate, forsaken, loads
from perflint.analysis.concurrency.guarded import catches, decorated, referred
from perflint.analysis.concurrency.loggers import logging_expression
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted, is_name, keyword
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

_METHODS = {"apply_async", "map_async", "starmap_async"}


def _hopeful(sketch: Sketch) -> bool:
    calls = sketch.methods(*_METHODS)
    return bool(calls) and sketch.file_mentions(*library.makers(library.POOLS))


rule = Rule(
    code="PRF405",
    name="apply-async-no-error-path",
    summary="`apply_async` without `get()` or `error_callback` loses the exception",
    category="pools",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(text=(b"apply_async", b"map_async"), imports=("multiprocessing",), sketch=_hopeful),
    doc=__doc__,
    benchmark=None,
    tests=False,
    service=True,
)

_ERROR_CALLBACK = 4  # its position


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    match node.func:
        case cst.Attribute(attr=cst.Name(value=method)) if method in _METHODS:
            pass
        case _:
            return
    if context.objects.type(node.func.value) not in library.POOLS or _reports(node):
        return
    what = forsaken(context.names, context.flow, node, lambda read: _idle(read, context))
    dropped = what is not None or _waited(node, context)
    if not dropped and not (
        fate(context.names, context.flow, node) == "lambda" and called_back(context.names, node)
    ):
        return
    function = referred(context.objects, node.args[0].value) if node.args else None
    if function is not None and (decorated(function) or catches(function)):
        return
    message = f"{method} without get() or error_callback loses the exception; pass `error_callback=`"
    yield rule.finding(context, node, message, _fix(node, context))


def _reports(node: cst.Call) -> bool:
    """Whether the call passes an error callback, or may."""
    for index, item in enumerate(node.args):
        if item.star:
            return True
        named = item.keyword.value if item.keyword is not None else None
        if named == "error_callback" or (named is None and index == _ERROR_CALLBACK):
            return not is_name(item.value, "None")
    return False


def _waited(node: cst.BaseExpression, context: Context) -> bool:
    """Whether the value is only asked to wait: `pool.apply_async(f).wait()` as a statement."""
    tree = context.tree
    parent = tree.parent(node)
    if not (isinstance(parent, cst.Attribute) and parent.attr.value == "wait"):
        return False
    call = tree.parent(parent)
    return isinstance(call, cst.Call) and isinstance(tree.parent(call), cst.Expr)


def _idle(read: cst.Name, context: Context) -> bool:
    """Whether this use of a result, or of the list of them, only waits."""
    if _waited(read, context):
        return True
    loop = context.tree.parent(read)
    if not (isinstance(loop, cst.For) and loop.iter is read and isinstance(loop.target, cst.Name)):
        return False
    return all(_waited(item, context) for item in loads(context.names, loop.target))


def _fix(node: cst.Call, context: Context) -> Fix | None:
    """Log the exception."""
    if not node.args or keyword(node, "error_callback") is not None:
        return None
    found = logging_expression(context, node)
    name = dotted(node.args[0].value) or "task"
    if found is None or context.facts.imported(found[0]) == "loguru.logger" or '"' in name or "[" in name:
        return None
    logger, added = found
    end = context.tree.span(node.args[-1]).end
    handler = f'lambda error: {logger}.error("{name} failed", exc_info=error)'
    edits = [Edit(Span(end, end), f", error_callback={handler}"), *([added] if added else [])]
    return Fix("Log the exception", tuple(edits), Applicability.UNSAFE)
