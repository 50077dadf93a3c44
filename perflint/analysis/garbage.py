"""What the rules about the garbage collector share: who uses `gc`, who watches memory, and code that measures."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING, NamedTuple

import libcst as cst

from perflint.analysis.concurrency.roles import may_handle
from perflint.analysis.exposure.guards import guarded
from perflint.analysis.exposure.routes import FRAMEWORKS, routes
from perflint.analysis.exposure.values import UNKNOWN, value
from perflint.analysis.match import is_name, keyword, last_name, names_in
from perflint.analysis.outline import Definition, FunctionNode, Home, Outline, decorators, leaf, own_nodes
from perflint.analysis.places import is_script
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Function, walk, walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_MEASURES = re.compile(
    r"(^|[_\-.])(bench\w*|perf|profil\w*|memtest|mem_?leaks?|leak\w*|timing|timeit)($|[_\-.\d])", re.I
)
_MEASURING = {
    "timeit",
    "cProfile",
    "pytest",
    "unittest",
    "memory_profiler",
    "objgraph",
    "pympler",
    "pyperf",
    "asv",
}
_READINGS = {
    *("perf_counter", "perf_counter_ns", "process_time", "process_time_ns", "thread_time", "thread_time_ns"),
    *("get_traced_memory", "take_snapshot", "memory_info", "memory_full_info", "memory_usage", "getrusage"),
    *("get_objects", "get_referrers", "mem_get_info", "memory_allocated", "max_memory_allocated"),
    *(
        "reset_peak_memory_stats",
        "virtual_memory",
        "memory_stats",
        "getrefcount",
        "mem_free",
        "mem_alloc",
        "get_count",
        "get_stats",
    ),
}
# Their collector frees everything, not only cycles.
_SMALL_PYTHONS = {
    *("micropython", "machine", "utime", "uasyncio", "network", "ujson", "uos", "urequests", "usocket"),
    *(
        "board",
        "digitalio",
        "displayio",
        "supervisor",
        "microcontroller",
        "pyb",
        "neopixel",
        "adafruit_requests",
    ),
}
_SERVERS = FRAMEWORKS | {
    *("uvicorn", "gunicorn", "hypercorn", "daphne", "granian", "waitress", "werkzeug", "grpc", "twisted"),
    *("celery", "rq", "dramatiq", "huey", "arq", "taskiq", "socketserver", "websockets", "zmq", "pika"),
    *("kafka", "aiokafka", "confluent_kafka", "nats", "asgiref", "socketio", "gevent", "eventlet", "sanic"),
}
_COMMANDS = {"argparse", "click", "typer", "optparse", "docopt", "fire", "getopt"}
_WATCHERS = {
    "setrlimit",
    "memory_info",
    "virtual_memory",
    "memory_percent",
    "tune_for_throughput",
    "getrusage",
}
_FORKS = {"Process", "Pool", "ProcessPoolExecutor"}
_WRAPS_REQUESTS = {"middleware", "before_request", "after_request", "teardown_request", "teardown_appcontext"}
_MIDDLEWARE = {"__call__", "dispatch", "process_request", "process_response", "process_view"}
_LIMITS = re.compile(
    r"(rss|mem(ory)?|elapsed|time|count(er)?|due|interval|every|threshold|limit|idle|should|need\w*|last)",
    re.I,
)
_ASKS = re.compile(r"(^|_)(nogc|gc_\w+|tests?|testing|fast|low_?latency)(_|$)|_gc(_|$)", re.I)
_ROUNDS = re.compile(r"(epoch|fold|chunk|batch|pass|trial|page|paginator|shard|split|iteration|round)", re.I)
_FACTS = {"is_available", "hasattr", "isinstance", "is_cuda_alike", "callable"}


class Use(NamedTuple):
    """One mention of a function of `gc`; `call` is None where it is handed on, as to `atexit.register`."""

    name: str
    node: ast.expr
    call: ast.Call | None
    function: FunctionNode | None


def uses(outline: Outline) -> tuple[Use, ...]:
    """Every mention of `gc`'s functions in the file."""
    return outline.once(_uses)


def _uses(outline: Outline) -> tuple[Use, ...]:
    found = []
    for node in ast.walk(outline.facts.tree):
        if isinstance(node, (ast.Attribute, ast.Name)) and isinstance(node.ctx, ast.Load):
            module, _, name = (outline.qualified(node) or "").partition(".")
            if module == "gc" and name:
                above = outline.parents.get(node)
                call = above if isinstance(above, ast.Call) and above.func is node else None
                found.append(Use(name, node, call, function_of(outline, node)))
    return tuple(found)


def function_of(outline: Outline, node: ast.AST) -> FunctionNode | None:
    """The innermost function that holds the node."""
    return next((item for item in around(outline, node) if isinstance(item, Definition)), None)


def around(outline: Outline, node: ast.AST) -> Iterator[ast.AST]:
    """What holds the node, innermost first."""
    above = outline.parents.get(node)
    while above is not None:
        yield above
        above = outline.parents.get(above)


def in_finally(outline: Outline, node: ast.AST) -> bool:
    """Whether the node stands in a `finally` of its function."""
    below = node
    for above in around(outline, node):
        if isinstance(above, ast.Try) and below in above.finalbody:
            return True
        if isinstance(above, (*Definition, ast.Lambda)):
            return False
        below = above
    return False


def watched(outline: Outline) -> bool:
    """Whether the file limits or looks at the memory of the process: an rlimit, psutil, the runtime's guard."""
    return any(leaf(call.func) in _WATCHERS for call, _ in outline.calls)


def forks(outline: Outline) -> bool:
    """Whether the file makes processes, or speaks of them: they share the pages of what is frozen."""
    return b"fork" in outline.facts.source.data or any(leaf(call.func) in _FORKS for call, _ in outline.calls)


def measuring(outline: Outline) -> bool:
    """Whether the file is there to measure or to test: a benchmark, a hunt for leaks."""
    place = PurePath(outline.facts.source.path)
    named = _MEASURES.search(place.stem) or _MEASURES.search(place.parent.name)
    return bool(named) or not outline.facts.packages.isdisjoint(_MEASURING)


def microcontroller(outline: Outline) -> bool:
    """Whether the file is for MicroPython or CircuitPython, where nothing is freed until `gc.collect()` runs."""
    return not outline.facts.packages.isdisjoint(_SMALL_PYTHONS)


def short_program(outline: Outline) -> bool:
    """Whether the file is a program that a person starts and that ends: its memory goes with it."""
    facts = outline.facts
    if not facts.packages.isdisjoint(_SERVERS) or b"http.server" in facts.source.data:
        return False
    if {"app", "application"} & facts.bindings.keys():  # what a server of WSGI or ASGI imports
        return False
    started = bool(outline.main_lines) or is_script(facts.source.path) or facts.source.data.startswith(b"#!")
    cells = b"# %%" in facts.source.data or b"# In[" in facts.source.data
    works = any(isinstance(item, (ast.For, ast.While, ast.With)) for item in facts.tree.body)
    asks = any(leaf(call.func) == "input" for call, _ in outline.calls) or b"sys.stdin" in facts.source.data
    return started or cells or works or asks or not facts.packages.isdisjoint(_COMMANDS)


def number(outline: Outline, node: ast.expr | None, home: Home, depth: int = 0) -> int | None:
    """The integer that an expression such as `100 << 20` or `64 * MB` is; None where the text does not tell."""
    match node:
        case ast.BinOp(left=left, op=operator, right=right) if depth < 8:
            one, other = number(outline, left, home, depth + 1), number(outline, right, home, depth + 1)
            return _computed(operator, one, other) if one is not None and other is not None else None
        case ast.Name(id=name) if depth < 8:
            held = None if name in home.bound else outline.facts.constant(name)
            if isinstance(held, ast.BinOp):
                return number(outline, held, Home(), depth + 1)
    found = value(outline, node, home)
    return found if found is not UNKNOWN and isinstance(found, int) and not isinstance(found, bool) else None


def _computed(operator: ast.operator, one: int, other: int) -> int | None:
    match operator:
        case ast.Mult():
            return one * other
        case ast.Add():
            return one + other
        case ast.Sub():
            return one - other
        case ast.LShift() if 0 <= other < 64:
            return one << other
        case ast.Pow() if 0 <= other < 64 and abs(one) <= 1024:
            return int(one**other)
    return None


def may_be_served(sketch: Sketch, *others: str) -> bool:
    """A gate's question: whether a function of the region is called once per request, or has one of these names."""
    told = (item.decorator_list or item.name in others for item in sketch.functions)
    return any(told) or may_handle(sketch) or not sketch.facts.packages.isdisjoint(FRAMEWORKS)


def served(context: Context, node: cst.CSTNode) -> FunctionNode | None:
    """The function around the node, where a server calls it for each request, message or connection."""
    above = next((item for item in context.tree.ancestors(node) if isinstance(item, Function)), None)
    if not isinstance(above, cst.FunctionDef):
        return None
    function = context.objects.definition(above)
    if function is None:
        return None
    outline = context.facts.outline
    known = context.roles.handler(function) or function in routes(outline) or _middleware(outline, function)
    return function if known else None


def _middleware(outline: Outline, function: FunctionNode) -> bool:
    if decorators(function) & _WRAPS_REQUESTS:
        return True
    owner = outline.homes[function].owner
    named = owner is not None and owner.name.endswith("Middleware") and function.name in _MIDDLEWARE
    return named or any(item.arg == "call_next" for item in function.args.args)


def throttled(context: Context, node: cst.CSTNode, outer: cst.CSTNode) -> bool:
    """Whether something between `node` and `outer` lets it run in some turns only: a counter, a clock, an error.

    `x is None`, `hasattr(..)` and `torch.cuda.is_available()` hold for all turns alike and are no such thing,
    nor is what chooses the items to work on.
    """
    below = node
    for above in context.tree.ancestors(node):
        match above:
            case cst.If(test=test, body=body) if below is not test:
                if below is not body or not (_holds(test) or _chooses_work(test, body)):
                    return True
            case cst.IfExp() | cst.BooleanOperation() | cst.ExceptHandler() | cst.MatchCase():
                return True
            case cst.IndentedBlock(body=body) if any(_skips(item) for item in _before(body, below)):
                return True
        if above is outer:
            return False
        below = above
    return False


def _chooses_work(test: cst.BaseExpression, body: cst.BaseSuite) -> bool:
    """Whether the condition is about what else is done there: `if not row.done: row.save(); gc.collect()`."""
    work = [item for item in body.body if not isinstance(item, (cst.FunctionDef, cst.ClassDef))]
    return len(work) > 1 and not any(_limits(part) for part in walk(test))


def _before(body: object, below: cst.CSTNode) -> Iterator[cst.CSTNode]:
    for item in body if isinstance(body, (list, tuple)) else ():
        if item is below:
            return
        yield item


def _skips(item: cst.CSTNode) -> bool:
    """Whether the statement leaves the turn for a counter, a clock or a size: `if i % 100: continue`."""
    match item:
        case cst.If(test=test, body=body) if any(
            isinstance(part, (cst.Continue, cst.Return)) for part in walk_scope(body)
        ):
            return any(_limits(part) for part in walk(test))
    return False


def _limits(part: cst.CSTNode) -> bool:
    match part:
        case cst.Modulo() | cst.LessThan() | cst.LessThanEqual() | cst.GreaterThan() | cst.GreaterThanEqual():
            return True
        case cst.Name(value=name):
            return bool(_LIMITS.search(name))
        case cst.BinaryOperation(operator=cst.Modulo()):
            return True
        case cst.ComparisonTarget(comparator=cst.Integer()):
            return True
        case cst.ComparisonTarget(operator=operator):
            return _limits(operator)
    return False


def _holds(test: cst.BaseExpression) -> bool:
    match test:
        case cst.Comparison(comparisons=[cst.ComparisonTarget(operator=cst.Is() | cst.IsNot())]):
            return True
        case cst.UnaryOperation(operator=cst.Not(), expression=inner):
            return _holds(inner)
        case cst.BooleanOperation(left=left, right=right):
            return _holds(left) and _holds(right)
        case cst.Call(func=function):
            return last_name(function) in _FACTS
    return False


def measures(function: FunctionNode) -> bool:
    """Whether the function reads a clock for measurements or the memory in use."""
    return any(isinstance(item, ast.Call) and leaf(item.func) in _READINGS for item in own_nodes(function))


def asked_for(outline: Outline, node: ast.AST) -> bool:
    """Whether the node runs only where a switch says so: `if settings.DEBUG:`, `if args.disable_gc:`, `if TESTING:`."""
    if guarded(outline, node) is not None:
        return True
    tests = (item.test for item in around(outline, node) if isinstance(item, ast.If))
    words = (leaf(part) for test in tests for part in ast.walk(test))
    return any(_ASKS.search(word) for word in words)


def reads_gauges(part: cst.CSTNode) -> bool:
    """Whether the code reads a clock for measurements or the memory in use."""
    calls = (item for item in walk_scope(part) if isinstance(item, cst.Call))
    return any(last_name(item.func) in _READINGS for item in calls)


def long_turn(context: Context, node: cst.CSTNode, loop: cst.CSTNode) -> bool:
    """Whether a turn is long: over a page or a fold, around a loop of its own, or of a `while True`."""
    words = names_in(loop.target, loop.iter) if isinstance(loop, cst.For) else set()
    endless = isinstance(loop, cst.While) and (
        isinstance(loop.test, cst.Integer) or is_name(loop.test, "True")
    )
    inner = (part for part in walk_scope(loop) if isinstance(part, (cst.For, cst.While)) and part is not loop)
    return (
        endless
        or any(_ROUNDS.search(word) for word in words)
        or any(not context.flow.inside(node, part) for part in inner)
    )


def waits(loop: cst.CSTNode) -> bool:
    """Whether the loop does nothing else, or each turn of a `while` waits: for an answer, or for whoever is next."""
    if isinstance(loop, (cst.For, cst.While)) and all(_collects(item) for item in loop.body.body):
        return True
    parts = walk_scope(loop) if isinstance(loop, cst.While) else ()
    return any(
        isinstance(part, cst.Yield) or (isinstance(part, cst.Call) and keyword(part, "timeout") is not None)
        for part in parts
    )


def _collects(statement: cst.CSTNode) -> bool:
    match statement:
        case cst.SimpleStatementLine(body=smalls):
            return all(_collects(item) for item in smalls)
        case cst.Expr(value=cst.Call(func=function)):
            return last_name(function) == "collect"
    return False
