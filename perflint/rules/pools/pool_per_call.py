"""A pool is made anew in each turn of a loop, or for each request.

Threads are started, processes forked or spawned, and all of them joined again, each time. The bound
that a pool has is one per pool: a hundred requests with eight workers each are eight hundred.

Bad:

    from concurrent.futures import ThreadPoolExecutor


    def convert(tables):
        found = []
        for rows in tables:
            with ThreadPoolExecutor(4) as pool:
                found.append(list(pool.map(str, rows)))
        return found

Good:

    from concurrent.futures import ThreadPoolExecutor


    def convert(tables):
        found = []
        with ThreadPoolExecutor(4) as pool:
            for rows in tables:
                found.append(list(pool.map(str, rows)))
        return found

It is an info where a function that makes a pool of processes is called in a loop of the same file.

Not flagged: module level and `__init__`, cached factories, `main`, a loop that runs once, pools
whose arguments change from turn to turn, one that is made again after a failure.

The fix moves the `with` out of the loop where it is the whole body, its arguments do not change
and the body reads all results. It is unsafe: the pool is made for an empty loop, too, and what one
turn leaves running runs on in the next.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.crowds import crowd, header
from perflint.analysis.concurrency.fates import reads_all
from perflint.analysis.concurrency.piles import one_at_a_time, starts_up
from perflint.analysis.concurrency.roles import handles, is_cleanup
from perflint.analysis.flow import bound_names
from perflint.analysis.gates import Gate
from perflint.analysis.match import contains, dotted, names_in
from perflint.analysis.outline import FunctionNode, Outline, decorators, leaf
from perflint.analysis.rewrite import swapped_headers
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import walk
from perflint.model.diagnostics import Applicability, Finding, Fix, Severity

_TYPES = library.EXECUTORS | library.POOLS
_PROCESSES = (library.PROCESS_EXECUTOR, library.PROCESS_POOL)  # they cost most to start
_SIZES = ("max_workers", "processes")
_CACHES = ("cache", "lru_cache", "cached_property", "cached", "fixture", "singleton")

_SPELLINGS = library.spellings(_TYPES)


def _hopeful(sketch: Sketch) -> bool:
    made = {*sketch.calls("Pool"), *sketch.calls_to(*_SPELLINGS, *library.WRAPPERS)}
    if not made:
        return False
    if not made.isdisjoint(sketch.repeated(ast.Call)):
        return True
    named = {item.name for item in sketch.functions if sketch.mentioned_elsewhere(item)}
    calls = sketch.facts.about(*named).outline.calls if named else []
    return any(home.loops and leaf(call.func) in named for call, home in calls) or handles(sketch)


rule = Rule(
    code="PRF408",
    name="pool-per-call",
    summary="a new pool of threads or processes in each turn of a loop or for each request",
    category="pools",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(b"Pool(",),
        names=_SPELLINGS,
        imports=("concurrent", "multiprocessing"),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=Benchmark(
        setup="tables = [range(8) for _ in range(n)]", call="convert(tables)", sizes=(10, 50, 200)
    ),
    tests=False,
    service=True,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    made = context.objects.of(node)
    if made is None or made.type not in _TYPES or not made.calls or _method(node):
        return
    found = _repeated(node, context)
    if found is None:
        return
    what, level = found
    kind = made.type.rpartition(".")[2]
    message = (
        f"a new `{kind}` per {what}: start-up cost every time and no global bound; make it once and share it"
    )
    yield rule.finding(context, node, message, _fix(node, context), level)


def _method(node: cst.Call) -> bool:
    """`pool.submit(..)` of a name that is a pool: no constructor."""
    return isinstance(node.func, cst.Attribute) and node.func.attr.value[:1].islower()


def _repeated(node: cst.Call, context: Context) -> tuple[str, Severity | None] | None:
    """What makes the pool again and again, and how grave that is."""
    loop = context.flow.repeated(node)
    if loop is not None:
        return ("iteration", None) if _in_loop(node, loop, context) else None
    functions = [
        above for above in context.tree.ancestors(node) if isinstance(above, (cst.FunctionDef, cst.Lambda))
    ]
    if not functions or isinstance(functions[0], cst.Lambda) or is_cleanup(context.tree, node):
        return None
    function = context.objects.definition(functions[0])
    if (
        function is None
        or _kept(function)
        or starts_up(context, node)
        or one_at_a_time(context, node, functions[0])
    ):
        return None
    if context.roles.handler(function):
        return "request", None
    held = isinstance(context.tree.parent(node), cst.WithItem)
    if (
        held
        and context.objects.type(node) in _PROCESSES
        and _called_in_a_loop(function, context.facts.outline)
    ):
        return "call of this function, which a loop calls", Severity.INFO
    return None


def _in_loop(node: cst.Call, loop: cst.CSTNode, context: Context) -> bool:
    """Whether the turns of the loop make pools that could be one."""
    if isinstance(loop, (cst.For, cst.While)) and context.flow.runs_once(node, loop):
        return False
    if (
        one_at_a_time(context, node, loop)
        or is_cleanup(context.tree, node)
        or _conditional(node, loop, context)
        or crowd(context, *header(loop), None) == "few"
    ):
        return False
    if _single(loop) or not _variables(loop).isdisjoint(names_in(*node.args)):
        return False
    # one thread each: a pool per shard, or a helper that can be left behind
    alone = [item.value for item in node.args if item.keyword is None or item.keyword.value in _SIZES]
    return not (alone and isinstance(alone[0], cst.Integer) and alone[0].value == "1")


def _single(loop: cst.CSTNode) -> bool:
    iterable = header(loop)[1]
    return isinstance(iterable, (cst.Tuple, cst.List)) and len(iterable.elements) == 1


def _variables(loop: cst.CSTNode) -> set[str]:
    """What changes from turn to turn: the targets of the loop, and what its body binds."""
    found: set[str] = set()
    for part in walk(loop):
        match part:
            case cst.For(target=target) | cst.CompFor(target=target) | cst.AugAssign(target=target):
                found |= bound_names(target)
            case cst.Assign(targets=targets):
                found.update(*(bound_names(item.target) for item in targets))
    return found


def _conditional(node: cst.Call, loop: cst.CSTNode, context: Context) -> bool:
    """Whether few turns make it, and keep it: in a branch, or to replace one that failed."""
    below: cst.CSTNode = node
    if isinstance(context.tree.parent(node), (cst.WithItem, cst.Attribute)):
        return False  # it lasts for the branch: no later turn can use it
    for above in context.tree.ancestors(node, loop):
        first = getattr(above, "left" if isinstance(above, cst.BooleanOperation) else "test", None)
        if isinstance(above, (cst.If, cst.IfExp, cst.BooleanOperation)) and first is not below:
            return True
        below = above
    return False


def _kept(function: FunctionNode) -> bool:
    """Whether the function's result is kept, or it runs once: a cached factory, `main`, `__init__`."""
    once = function.name in ("main", "__init__", "__post_init__")
    return once or not decorators(function).isdisjoint(_CACHES)


def _called_in_a_loop(function: FunctionNode, outline: Outline) -> bool:
    return any(
        home.loops
        and leaf(call.func) == function.name
        and home.function is not function
        and outline.referred(call.func, home) is function
        for call, home in outline.calls
    )


def _fix(node: cst.Call, context: Context) -> Fix | None:
    """Swap the headers of `for x in xs:` and the `with` that is its whole body."""
    tree = context.tree
    item = tree.parent(node)
    with_ = tree.parent(item) if isinstance(item, cst.WithItem) else None
    loop = context.flow.loop(node)
    match with_, loop:
        case cst.With(
            items=[cst.WithItem(asname=cst.AsName(name=cst.Name(value=name)))], asynchronous=None
        ), cst.For(body=cst.IndentedBlock(body=[only]), orelse=None) if only is with_ and isinstance(
            with_.body, cst.IndentedBlock
        ):
            pass
        case _:
            return None
    if contains(node, cst.Await, cst.NamedExpr) or not all(_plain(part.value) for part in node.args):
        return None
    if not names_in(node).isdisjoint(_variables(loop)) or name in names_in(loop.iter, loop.target):
        return None
    if not reads_all(with_.body, name, context.names):
        return None
    edits = swapped_headers(tree, loop, with_)
    return Fix("Make the pool before the loop", edits, Applicability.UNSAFE) if edits else None


def _plain(node: cst.BaseExpression) -> bool:
    return isinstance(node, (cst.Integer, cst.SimpleString)) or dotted(node) is not None
