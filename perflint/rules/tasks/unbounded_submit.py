"""An executor takes work faster than its workers do it: its queue holds the whole input.

`max_workers` bounds the threads, not what waits for them. `Executor.map` submits every item before
it gives the first result, and `Pool.imap` reads ahead without limit, so a generator, a file or a
stream that was meant to be read bit by bit lies in memory in full.

Bad:

    from concurrent.futures import ThreadPoolExecutor


    def numbers(n):
        for i in range(n):
            yield str(i)


    def total(n):
        found = 0
        with ThreadPoolExecutor(4) as pool:
            for value in pool.map(int, numbers(n)):
                found += value
        return found

Good:

    from concurrent.futures import ThreadPoolExecutor

    from perflint.runtime import bounded_map


    def numbers(n):
        for i in range(n):
            yield str(i)


    def total(n):
        found = 0
        with ThreadPoolExecutor(4) as pool:
            for value in bounded_map(pool, int, numbers(n), buffersize=100):
                found += value
        return found

A loop that submits takes a slot of a semaphore before each `submit`, and a done callback gives it
back; `WorkerPool` of `perflint.runtime` has the bound built in.

Not flagged: a list or another collection (as many futures as there are items anyway), awaited
calls, results that are read in the same turn, a slot taken first, receivers of unknown type.

The fix of a `map` whose results a loop or comprehension reads adds `buffersize` where the code
runs on Python 3.14 and later, and with `runtime-fixes = true` calls `bounded_map`. It is unsafe:
the generator is read later, between the results.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.piles import Pile, few, piles
from perflint.analysis.concurrency.spawns import Spawn, spawn
from perflint.analysis.gates import Gate
from perflint.analysis.match import keyword
from perflint.analysis.possible import calls_on
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sizes import Size
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Comprehension, walk
from perflint.fixing.imports import runtime_import
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

_SUBMITS = ("submit", "run_in_executor", "to_thread", "apply_async")
_READS = ("map", "imap", "imap_unordered")
_BUFFERSIZE = (3, 14)  # the first Python whose `Executor.map` takes it

_TO_THREAD = ("asyncio.to_thread", "asyncio.threads.to_thread")
# Expressions that are no stream, whatever their parts are.
_FINITE = (ast.Constant, ast.Attribute, ast.Subscript, ast.List, ast.Tuple, ast.Set, ast.Dict)


def _hopeful(sketch: Sketch) -> bool:
    calls = {*sketch.calls_to(*_TO_THREAD), *calls_on(sketch, library.EXECUTORS, "submit")}
    calls |= {*calls_on(sketch, frozenset({library.LOOP}), "run_in_executor")}
    calls |= {*calls_on(sketch, library.POOLS, "apply_async")}
    if calls and not calls.isdisjoint(part for loop in _streaming(sketch) for part in ast.walk(loop)):
        return True
    reads = calls_on(sketch, library.EXECUTORS | library.POOLS, *_READS)
    given = ([*call.args[1:], *(item.value for item in call.keywords)] for call in reads)
    return any(not isinstance(item, _FINITE) for items in given for item in items)


def _streaming(sketch: Sketch) -> Iterator[ast.AST]:
    """The loops and comprehensions that may read a stream."""
    for loop in sketch.loops:
        match loop:
            case ast.While(test=ast.Compare(left=left)) if not isinstance(left, ast.NamedExpr):
                continue
            case ast.While(test=ast.Name() | ast.BoolOp() | ast.Call()):
                continue
            case ast.For(iter=iterable) if isinstance(iterable, _FINITE):
                continue
        yield loop
    for kind in (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp):
        yield from sketch.of(kind)


rule = Rule(
    code="PRF306",
    name="unbounded-submit",
    summary="an executor's queue takes the whole of a stream or generator",
    category="tasks",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=tuple(f".{name}(".encode() for name in (*_SUBMITS, *_READS)),
        names=_TO_THREAD,
        imports=("concurrent", "multiprocessing", "asyncio"),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=Benchmark(setup="", call="total(n)", sizes=(100, 1_000, 10_000), measure="memory"),
    tests=False,
    service=True,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    name = node.func.attr.value if isinstance(node.func, cst.Attribute) else ""
    if name in _READS:
        yield from _reads_ahead(node, name, context)
    elif (name in _SUBMITS or not name) and context.flow.repeated(node) is not None:
        found = spawn(context.objects, node)
        if (
            found is not None
            and found.how in ("executor", "loop-executor", "pool")
            and _piles_up(found, context)
        ):
            message = (
                f"executor work queue is unbounded: `{found.name}` buffers the whole input; take a slot first"
            )
            yield rule.finding(context, node, message)


def _piles_up(found: Spawn, context: Context) -> bool:
    """Whether some loop around feeds it from a source that is no collection."""
    if isinstance(context.tree.parent(context.tree.parent(found.call) or found.call), cst.Call):
        outer = context.tree.parent(context.tree.parent(found.call) or found.call)
        if isinstance(outer, cst.Call) and spawn(context.objects, outer) is not None:
            return False  # `create_task(to_thread(..))`: PRF302
    around = list(piles(context, found))
    return any(_streams(pile, context) for pile in around) and not any(
        few(context, found, pile) for pile in around
    )


def _streams(pile: Pile, context: Context) -> bool:
    """Whether the loop reads a stream: a generator, a file, or something that has no end."""
    match pile.loop:
        case cst.While(test=test):
            return _endless(test)
    return pile.size is Size.INFINITE or context.sizes.lazy(pile.iterable)


def _endless(test: cst.BaseExpression) -> bool:
    """`while True`, `while not self.stopped`, `while x := read()`; a work list gets shorter in each turn."""
    match test:
        case cst.Name(value="True") | cst.Integer() | cst.Attribute() | cst.NamedExpr():
            return True
        case cst.UnaryOperation(operator=cst.Not(), expression=cst.Name() | cst.Attribute() | cst.Call()):
            return not any(isinstance(part, cst.Name) and part.value == "empty" for part in walk(test))
        case cst.Comparison(left=cst.NamedExpr()):
            return True
    return False


def _reads_ahead(node: cst.Call, name: str, context: Context) -> Iterator[Finding]:
    found = context.objects.method(node)
    if found is None or len(node.args) < 2 or any(item.star for item in node.args):
        return
    kind = found[0]
    if kind in library.EXECUTORS and name == "map":
        sources = [item.value for item in node.args[1:] if item.keyword is None]
        if keyword(node, "buffersize") is not None:
            return
        cure = "bound how far it reads ahead"
    elif kind in library.POOLS and name != "map":
        sources = [node.args[1].value]
        cure = "take a semaphore's slot for each item, and give it back with the result"
    else:
        return
    if any(context.sizes.of(item) is Size.INFINITE or context.sizes.lazy(item) for item in sources):
        message = f"executor work queue is unbounded: `{context.tree.code(node.func)}` buffers the whole input; {cure}"
        yield rule.finding(context, node, message, _fix(node, kind, context))


def _fix(node: cst.Call, kind: str, context: Context) -> Fix | None:
    """Read no more than `default-limit` items ahead."""
    tree, size = context.tree, context.config.default_limit
    if (
        kind not in library.EXECUTORS
        or not _read_in_order(node, context)
        or not isinstance(node.func, cst.Attribute)
    ):
        return None
    end = tree.span(node.args[-1].value).end
    bound = Edit(Span(end, end), f", buffersize={size}")
    title = f"Read at most {size} items ahead"
    if context.config.target.low >= _BUFFERSIZE:
        return Fix(title, (bound,), Applicability.UNSAFE)
    if keyword(node, "chunksize") is not None:
        return None
    found = runtime_import(context.source, context.facts.tree, context.config, "bounded_map")
    if found is None or tree.comments(tree.span(node.func)):
        return None
    function, added = found
    start = tree.span(node.args[0]).start
    receiver = tree.code(node.func.value)
    edits = [
        Edit(tree.span(node.func), function),
        Edit(Span(start, start), f"{receiver}, "),
        bound,
        *([added] if added is not None else []),
    ]
    return Fix(title, tuple(sorted(edits)), Applicability.UNSAFE)


def _read_in_order(node: cst.Call, context: Context) -> bool:
    """Whether a loop or a comprehension reads the results here, and no generator takes them away."""
    match context.tree.parent(node):
        case cst.For(iter=iterable):
            return iterable is node
        case cst.CompFor(iter=iterable) as clause if iterable is node:
            around = context.tree.parent(clause)
            return isinstance(around, Comprehension) and not isinstance(around, cst.GeneratorExp)
        case cst.Arg() as argument:
            call = context.tree.parent(argument)
            return isinstance(call, cst.Call) and context.names.builtin(call.func) in (
                "list",
                "tuple",
                "set",
                "sum",
            )
    return False
