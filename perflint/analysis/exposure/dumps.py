"""What tells a stranger how a program works inside, and whether a function hands it out."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import NamedTuple

from perflint.analysis.nodes import children
from perflint.analysis.outline import FunctionNode, Home, Outline, leaf, own_nodes
from perflint.analysis.sketch import Sketch

_FULL = (  # stacks, sources, objects: whole names, or what begins with a name that ends in a dot or underscore
    "tracemalloc.take_snapshot", "tracemalloc.get_object_traceback", "cProfile.Profile", "profile.Profile",
    "pstats.Stats", "yappi.get_", "yappi.convert2pstats", "pyinstrument.Profiler", "pyinstrument.profiler.Profiler",
    "line_profiler.LineProfiler", "viztracer.VizTracer", "memray.Tracker", "memray.FileReader", "objgraph.",
    "guppy.hpy", "pympler.muppy.", "pympler.summary.", "pympler.tracker.", "pympler.classtracker.",
    "gc.get_objects", "gc.get_referrers", "gc.get_referents", "sys._current_frames", "sys._current_exceptions",
    "faulthandler.dump_traceback",
)  # fmt: skip
_FIGURES = (
    "tracemalloc.get_traced_memory",
    "tracemalloc.get_tracemalloc_memory",
    "gc.get_stats",
    "asyncio.all_tasks",
)
NAMES = tuple(name for name in (*_FULL, *_FIGURES) if not name.endswith((".", "_")))
PACKAGES = ("yappi", "objgraph", "pympler", "guppy", "memray", "viztracer")
_TOOLS = ("py-spy", "memray", "austin")  # run as programs
_RUNS = {
    "run",
    "check_output",
    "Popen",
    "create_subprocess_exec",
    "create_subprocess_shell",
    "system",
    "getoutput",
}
_COUNTS = {"len", "bool", "any", "all", "isinstance", "sum", "runcall", "runctx"}  # tell none of it
_WRITES = {
    "write",
    "finish",
    "send",
    "send_text",
    "send_json",
    "send_bytes",
    "send_str",
    "send_response",
    "respond",
}
_SINKS = {"self", "resp", "response", "ws", "websocket", "socket"}


class Dump(NamedTuple):
    """A call that yields such data."""

    node: ast.Call
    what: str  # as messages name it
    figures: bool  # numbers and names of tasks only


def dump(outline: Outline, call: ast.Call, home: Home) -> Dump | None:
    """What the call itself tells, by the imports of the file."""
    name = outline.qualified(call.func, home.bound)
    if name is None:
        return None
    full = any(name.startswith(item) if item.endswith((".", "_")) else name == item for item in _FULL)
    if full or name in _FIGURES:
        return Dump(call, f"{name}()", not full)
    if name.rpartition(".")[2] in _RUNS:
        tool = next((tool for tool in _TOOLS if any(tool in text for text in _texts(call))), None)
        return Dump(call, tool, False) if tool else None
    return None


def may_dump(sketch: Sketch) -> bool:
    """Whether a call of the region may yield such data."""
    facts = sketch.facts
    imported = not facts.packages.isdisjoint(PACKAGES)
    run = any(facts.holds(tool.encode()) for tool in _TOOLS)
    return imported or run or bool(sketch.calls_to(*NAMES))


def handed_out(outline: Outline, function: FunctionNode, deep: bool = True) -> Dump | None:
    """The dump that reaches what the function returns, yields or writes to a response.

    Helpers of the file that the function calls are looked into, one step.
    """
    return _Flow(outline, function, deep).served()


def _texts(call: ast.Call) -> Iterator[str]:
    for part in ast.walk(call):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


class _Flow:
    """Which locals of one function hold something of a dump. Order is not looked at: three rounds settle it."""

    def __init__(self, outline: Outline, function: FunctionNode, deep: bool) -> None:
        self.outline = outline
        self.home: Home = outline.inside(function)
        self.nodes = list(own_nodes(function))
        self.own = {
            node.id for node in self.nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
        }
        self.deep = deep
        self.held: dict[str, Dump] = {}
        self.known: dict[ast.Call, Dump | None] = {}

    def served(self) -> Dump | None:
        if not any(self.source(node) for node in self.nodes if isinstance(node, ast.Call)):
            return None
        for _ in range(3):
            before = len(self.held)
            for node in self.nodes:
                self.spread(node)
            if len(self.held) == before:
                break
        return next((found for node in self.nodes if (found := self.leaves(node)) is not None), None)

    def source(self, call: ast.Call) -> Dump | None:
        """The dump that a call makes: its own, or that of a helper it calls or hands to an executor."""
        if call not in self.known:
            self.known[call] = dump(self.outline, call, self.home) or (
                self.helper(call) if self.deep else None
            )
        return self.known[call]

    def helper(self, call: ast.Call) -> Dump | None:
        for expression in (call.func, *call.args):
            function = self.outline.referred(expression, self.home)
            if function is not None and function not in self.home.functions:
                found = handed_out(self.outline, function, deep=False)
                if found is not None:
                    return found
        return None

    def carried(self, node: ast.AST | None) -> Dump | None:
        """The dump that an expression holds something of; a count of it tells nothing."""
        stack = [node] if node is not None else []
        while stack:
            part = stack.pop()
            if isinstance(part, ast.Call):
                if leaf(part.func) in _COUNTS:
                    continue
                found = self.source(part)
                if found is not None:
                    return found
            elif isinstance(part, ast.Name) and part.id in self.held:
                return self.held[part.id]
            elif isinstance(part, (ast.Lambda, ast.Compare)):
                continue
            stack.extend(children(part))
        return None

    def spread(self, node: ast.AST) -> None:
        match node:
            case ast.Assign(targets=targets, value=value):
                self.keep(targets, self.carried(value))
            case ast.AnnAssign(target=target, value=value) | ast.AugAssign(target=target, value=value):
                self.keep([target], self.carried(value))
            case ast.NamedExpr(target=target, value=value):
                self.keep([target], self.carried(value))
            case ast.For(target=target, iter=value) | ast.AsyncFor(target=target, iter=value):
                self.keep([target], self.carried(value))
            case ast.comprehension(target=target, iter=value):
                self.keep([target], self.carried(value))
            case ast.withitem(context_expr=value, optional_vars=ast.expr() as target):
                self.keep([target], self.carried(value))
            case ast.Call() if leaf(node.func) not in _COUNTS:
                parts = [*node.args, *(word.value for word in node.keywords)]
                found = next((item for part in parts if (item := self.carried(part))), None) or self.source(
                    node
                )
                owner = node.func.value if isinstance(node.func, ast.Attribute) else None
                self.keep([part for part in (*parts, owner) if part is not None], found)

    def keep(self, targets: list[ast.expr], found: Dump | None) -> None:
        for target in targets if found is not None else ():
            for part in _roots(target):
                if part in self.own and found is not None:
                    self.held.setdefault(part, found)

    def leaves(self, node: ast.AST) -> Dump | None:
        """What a statement or call hands to whoever asked."""
        match node:
            case ast.Return(value=value) | ast.Yield(value=value) | ast.YieldFrom(value=value):
                return self.carried(value)
            case ast.Call(func=ast.Attribute(value=owner, attr=name), args=args) if name in _WRITES:
                if not _SINKS.isdisjoint(_roots(owner)):
                    return next((found for item in args if (found := self.carried(item))), None)
            case ast.Assign(targets=[ast.Attribute(value=ast.Name(id=name))], value=value) if (
                name in _SINKS - {"self"}
            ):
                return self.carried(value)
        return None


def _roots(target: ast.expr) -> Iterator[str]:
    """The names at the heads of a target: `out` of `out.lines[0]`, both of `a, b`."""
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Attribute(value=inner) | ast.Subscript(value=inner) | ast.Starred(value=inner):
            yield from _roots(inner)
        case ast.Tuple(elts=items) | ast.List(elts=items):
            for item in items:
                yield from _roots(item)
