"""A tracer or profiler starts with the program and never stops.

`tracemalloc` notes the place of every allocation, a profiler is called for every function, asyncio's
debug mode notes where each coroutine and handle was made. That is the price of a measurement; a
service that pays it all day pays it for nothing.

Bad:

    import tracemalloc

    tracemalloc.start()

Good:

    import os
    import tracemalloc

    if os.getenv("TRACE_MEMORY"):
        tracemalloc.start()

It counts what the module runs when it is imported, application factories, lifespans and start-up
hooks. `gc.set_debug(gc.DEBUG_SAVEALL)` is an error there: nothing that was in a cycle is ever
freed. asyncio's debug mode is info. `perflint.runtime.serve_debug()` starts tracemalloc and a
sampling profiler when somebody asks for them, and stops them again.

Not flagged: what stands under any `if`, what the same function stops again, `with` blocks, programs
that measure (by their file's name, or because they read the figures themselves and serve nothing),
scripts, tests.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.exposure.guards import conditional, development
from perflint.analysis.exposure.routes import FRAMEWORKS
from perflint.analysis.exposure.startup import Moment, measures, moment
from perflint.analysis.exposure.values import Call, call_at, expression, passed, value
from perflint.analysis.gates import Gate
from perflint.analysis.library import LOOP
from perflint.analysis.outline import Outline, generates, leaf, own_nodes
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Finding, Severity

_CALL, _ALLOCATION = "call", "allocation"
_FUNCTIONS = {  # function -> what pays for it
    "tracemalloc.start": _ALLOCATION,
    "yappi.start": _CALL,
    "sys.setprofile": _CALL,
    "sys.settrace": _CALL,
    "threading.setprofile": _CALL,
    "threading.settrace": _CALL,
    "threading.setprofile_all_threads": _CALL,
    "threading.settrace_all_threads": _CALL,
}
_PROFILERS = {"cProfile.Profile": "enable", "profile.Profile": "enable", "viztracer.VizTracer": "start"}
_STOPS = {"stop", "disable", "setprofile", "settrace", "setprofile_all_threads", "settrace_all_threads"}
_READS = {"take_snapshot", "get_traced_memory", "get_func_stats", "print_stats", "dump_stats", "get_objects"}
_LEAKS = {"DEBUG_LEAK", "DEBUG_SAVEALL"}
_VARIABLE = "PYTHONASYNCIODEBUG"


def _hopeful(sketch: Sketch) -> bool:
    if _quiet(sketch.facts.source.path):
        return False
    if sketch.facts.holds(_VARIABLE.encode()) or sketch.calls_to(*_FUNCTIONS, "gc.set_debug"):
        return True
    runs = sketch.calls_to("asyncio.run")
    if any(word.arg in ("debug", None) for call in runs for word in call.keywords):
        return True
    made = any(kind.partition(".")[0] in sketch.facts.packages for kind in _PROFILERS)
    return bool(sketch.calls("set_debug") or (made and sketch.calls(*_PROFILERS.values())))


rule = Rule(
    code="PRF705",
    name="tracer-always-on",
    summary="a tracer that starts with the program slows every call or allocation",
    category="debug",
    severity=Severity.WARNING,
    since="0.1",
    fix="never",
    gate=Gate(
        text=(_VARIABLE.encode(),),
        names=(*_FUNCTIONS, *_PROFILERS, "gc.set_debug"),
        beside=(
            *((kind.partition(".")[0], f".{method}(".encode()) for kind, method in _PROFILERS.items()),
            ("asyncio", b"debug"),
        ),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=Benchmark(
        setup="import tracemalloc",
        call="build(n)",
        before="""
            def build(n):
                tracemalloc.start()
                try:
                    return [{"id": i} for i in range(n)]
                finally:
                    tracemalloc.stop()
        """,
        after="""
            def build(n):
                return [{"id": i} for i in range(n)]
        """,
    ),
    tests=False,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    name = _name(node, context)
    if name is None or _quiet(context.source.path):
        return
    call = call_at(context, node)
    outline = context.facts.outline
    if call is None or conditional(outline, call.node):
        return
    if name in ("asyncio.run", "set_debug"):
        if not _switches(call) and _asked(outline, call, name):
            message = f"asyncio's debug mode is always on (`{_shown(name)}`): every coroutine and callback pays; set it by the environment"
            yield rule.finding(context, node, message, severity=Severity.INFO)
        return
    when = moment(outline, call.node, call.home)
    if when is None or _stopped(outline, call) or _unset(call):
        return
    if name == "gc.set_debug":
        flag = next((part for part in ast.walk(call.node) if leaf(part) in _LEAKS), None)
        if flag is not None:
            message = f"`gc.set_debug(gc.{leaf(flag)})` at {when} keeps every object of a cycle for ever; set it only while you look for a leak"
            yield rule.finding(context, node, message, severity=Severity.ERROR)
        return
    if when == "start-up" or not _read(outline):
        yield rule.finding(context, node, _message(name, when))


def _name(node: cst.Call, context: Context) -> str | None:
    """The tracer that the call starts, by its qualified name."""
    match node.func:
        case cst.Attribute(attr=cst.Name(value="set_debug")) if context.objects.method(node) == (
            LOOP,
            "set_debug",
        ):
            return "set_debug"
        case cst.Attribute(attr=cst.Name(value="enable" | "start" as method)):
            kind = _profiler(node, context)
            if kind is not None and _PROFILERS[kind] == method:
                return f"{kind}.{method}"
    function = context.objects.function(node.func)
    return function if function in (*_FUNCTIONS, "gc.set_debug", "asyncio.run") else None


def _profiler(node: cst.Call, context: Context) -> str | None:
    """The profiler whose method the call is."""
    call, outline = call_at(context, node), context.facts.outline
    if call is None or not isinstance(call.node.func, ast.Attribute):
        return None
    made = expression(outline, call.node.func.value, call.home)
    qualified = outline.qualified(made.func, call.home.bound) if isinstance(made, ast.Call) else None
    return qualified if qualified in _PROFILERS else None


def _switches(call: Call) -> bool:
    """Whether the function is there to switch debugging on: `enable_loop_debugging`."""
    return any(re.match(r"_*(enable|turn_on|switch|set)\w*debug", item.name) for item in call.home.functions)


def _asked(outline: Outline, call: Call, name: str) -> bool:
    word, position = ("debug", None) if name == "asyncio.run" else ("enabled", 0)
    given = passed(outline, call, word, position)
    return isinstance(given, ast.expr) and value(outline, given, call.home) is True


def _stopped(outline: Outline, call: Call) -> bool:
    """Whether the same code ends it again; what a generator does after its `yield` comes at the end of all."""
    function = call.home.function
    if function is not None and generates(function):
        return False
    nodes = own_nodes(function if function is not None else outline.facts.tree)
    return any(
        isinstance(part, ast.Call)
        and part is not call.node
        and leaf(part.func) in _STOPS
        and (leaf(part.func) in ("stop", "disable") or _none(part))
        for part in nodes
    )


def _read(outline: Outline) -> bool:
    """Whether a program that serves nothing reads what it traced: then it is there to measure."""
    served = not outline.facts.packages.isdisjoint(FRAMEWORKS)
    return not served and any(leaf(item.func) in _READS for item, _ in outline.calls)


def _unset(call: Call) -> bool:
    """`sys.settrace(None)`."""
    return _none(call.node)


def _none(node: ast.Call) -> bool:
    match node.args:
        case [ast.Constant(value=None), *_]:
            return True
    return False


def _message(name: str, when: Moment) -> str:
    pays = _FUNCTIONS.get(name, _CALL)
    return f"`{_shown(name)}` runs unconditionally at {when}: every {pays} pays; put it behind a switch"


def _shown(name: str) -> str:
    return {"asyncio.run": "asyncio.run(debug=True)", "set_debug": "set_debug(True)"}.get(name, f"{name}()")


def _quiet(path: str) -> bool:
    return development(path) or measures(path)


@rule.visits(cst.Assign)
def check_environment(node: cst.Assign, context: Context) -> Iterator[Finding]:
    match node:
        case cst.Assign(
            targets=[cst.AssignTarget(target=cst.Subscript() as target)], value=cst.SimpleString() as held
        ):
            pass
        case _:
            return
    off = held.evaluated_value in ("", "0")
    if off or _quiet(context.source.path) or _VARIABLE not in context.tree.code(target):
        return
    twin = _assignment(context.facts.outline, context.source.line_of(context.tree.span(node).start))
    if twin is not None and not conditional(context.facts.outline, twin):
        message = f"asyncio's debug mode is always on (`{_VARIABLE}`): every coroutine and callback pays; leave it to the environment"
        yield rule.finding(context, node, message, severity=Severity.INFO)


def _assignment(outline: Outline, line: int) -> ast.AST | None:
    found = (item for item in ast.walk(outline.facts.tree) if isinstance(item, ast.Assign))
    return next((item for item in found if item.lineno == line), None)
