"""A pool is kept on an object, in a global or in a container, and never shut down.

A pool that only a local holds goes away with it: executors and pools end their workers when they
are collected. One that is kept holds its idle threads or processes for as long as its owner lives.

Bad:

    from concurrent.futures import ThreadPoolExecutor


    class Mailer:
        def __init__(self):
            self.executor = ThreadPoolExecutor()

        def send(self, mail):
            return self.executor.submit(deliver, mail)

Good:

    from concurrent.futures import ThreadPoolExecutor


    class Mailer:
        def __init__(self):
            self.executor = ThreadPoolExecutor()

        def send(self, mail):
            return self.executor.submit(deliver, mail)

        def close(self):
            self.executor.shutdown()

Off by default: an audit for programs that make such objects again and again. It counts as shut
down what the class or file closes, enters by `with`, registers at `atexit` or `weakref.finalize`,
or hands on.

Not flagged: local pools, pools made once when the module is imported, cached factories.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.fates import collector
from perflint.analysis.flow import bound_names
from perflint.analysis.gates import Gate
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Comprehension
from perflint.model.diagnostics import Finding, Severity

_SPELLINGS = library.spellings(library.EXECUTORS | library.POOLS)


def _hopeful(sketch: Sketch) -> bool:
    made = {*sketch.calls("Pool"), *sketch.calls_to(*_SPELLINGS, *library.WRAPPERS)}
    return not made.issubset(sketch.entered)


rule = Rule(
    code="PRF415",
    name="pool-not-shut-down",
    summary="a pool that is kept and never shut down holds its idle workers",
    category="pools",
    severity=Severity.INFO,
    since="0.1",
    fix="never",
    gate=Gate(
        text=(b".Pool(",),
        names=_SPELLINGS,
        imports=("concurrent", "multiprocessing"),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    group="pedantic",
    tests=False,
    service=True,
)

_ENDS = {"shutdown", "close", "terminate", "join", "stop", "__exit__"}
_USES = {
    "submit",
    "map",
    "starmap",
    "apply",
    "apply_async",
    "map_async",
    "starmap_async",
    "imap",
    "imap_unordered",
}


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    kind = context.objects.type(node)
    if kind is None or kind not in library.EXECUTORS | library.POOLS:
        return
    place = _kept(node, context)
    if place is None or _ended(place, context):
        return
    name = kind.rpartition(".")[2]
    owner = place.rpartition(".")[0]
    on = f"on `{owner}` as `{place}`" if owner else f"in `{place}`"
    yield rule.finding(
        context, node, f"`{name}` is kept {on} and never shut down; shut it down with its owner"
    )


def _kept(node: cst.Call, context: Context) -> str | None:
    """The attribute, global or container that holds the pool."""
    tree = context.tree
    holder = collector(context.names, node)
    if holder is not None:
        return holder.value if _lasts(holder, context) else None
    value: cst.CSTNode = node
    while isinstance(
        parent := tree.parent(value),
        (cst.Element, cst.List, cst.Tuple, cst.DictElement, cst.Dict, *Comprehension),
    ):
        value = parent
    match tree.parent(value):
        case cst.Arg() as argument:
            return _appended(tree.parent(argument))
        case cst.Assign(targets=[cst.AssignTarget(target=target)]) | cst.AnnAssign(target=target):
            holds: cst.BaseExpression = target
            while isinstance(holds, cst.Subscript):
                holds = holds.value
            if isinstance(holds, cst.Name):
                return holds.value if _lasts(holds, context) else None
            return next(iter(bound_names(holds)), None)
    return None


def _appended(call: cst.CSTNode | None) -> str | None:
    match call:
        case cst.Call(
            func=cst.Attribute(value=cst.Attribute() as owner, attr=cst.Name(value="append" | "add"))
        ):
            return next(iter(bound_names(owner)), None)
    return None


def _lasts(name: cst.Name, context: Context) -> bool:
    """Whether a function binds or fills a name of the module."""
    scope = context.scope(name)
    return scope.kind == "function" and scope.owner(name.value) in (None, context.names.top)


def _ended(place: str, context: Context) -> bool:
    """Whether the file ends the pool, or hands it to somebody who may."""
    last = place.rpartition(".")[2]
    return any(_ends(node, last) for node in ast.walk(context.facts.tree))


def _ends(node: ast.AST, last: str) -> bool:
    match node:
        case ast.Attribute(value=value, attr=attr) if attr in _ENDS:
            return _mentions(value, last) or isinstance(value, ast.Name)
        case ast.With(items=items) | ast.AsyncWith(items=items):
            return any(_mentions(item.context_expr, last) for item in items)
        case ast.Call(func=ast.Attribute(attr="run_in_executor"), args=args):
            return any(_mentions(item, last) for item in args[1:])
        case ast.Call(func=function, args=args, keywords=keywords):
            if isinstance(function, ast.Attribute) and function.attr in _USES | {"append", "add"}:
                return False
            return any(_hands_on(item, last) for item in (*args, *(word.value for word in keywords)))
        case ast.Return(value=ast.expr() as value) | ast.Assign(value=value):
            return _hands_on(value, last)
    return False


def _mentions(node: ast.AST, last: str) -> bool:
    return any(last in (getattr(part, "id", None), getattr(part, "attr", None)) for part in ast.walk(node))


def _hands_on(node: ast.expr, last: str) -> bool:
    return last in (getattr(node, "id", None), getattr(node, "attr", None))
