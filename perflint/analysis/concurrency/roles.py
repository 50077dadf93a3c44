"""What a function is for: a worker that others start, a handler of requests, or clean-up.

Read from the whole file, because who starts a function is rarely told where it is defined.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import PurePath
from typing import Literal, NamedTuple

import libcst as cst

from perflint.analysis import library
from perflint.analysis.objects import argument
from perflint.analysis.outline import FunctionNode, Home, Outline, callee, decorators, generates, leaf
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Tree

By = Literal["thread", "process", "timer", "task", "group", "executor", "to-thread"]

_ROUTES = {
    "get",
    "post",
    "put",
    "patch",
    "delete",
    "route",
    "websocket",
    "message",
    "event",
    "command",
}
_CLI = {"click", "typer", "cyclopts", "asyncclick", "rich_click"}
_REQUESTS = {"Request", "WebSocket", "ServerRequest", "HttpRequest", "HTTPConnection"}
_HANDED = {"request", "context", "send"}
_TASKS = {  # decorators of functions that a worker calls once per message, by the package they are of
    "task": {"celery", "huey", "taskiq", "procrastinate"},
    "shared_task": {"celery"},
    "periodic_task": {"celery", "huey"},
    "db_task": {"huey"},
    "db_periodic_task": {"huey"},
    "actor": {"dramatiq"},
    "job": {"rq", "django_rq"},
}
_LAMBDAS = {"handler", "lambda_handler"}
_DO = re.compile(r"do_[A-Z]+$")
_CLEANUP = re.compile(
    r"^_*(a?(close|stop|shutdown|teardown|cleanup|dispose|terminate|disconnect|exit|del|kill)(_.*)?|cancel.*|a?exit__|del__|tear_?down.*|clean_?up.*|.*_(shutdown|cleanup|teardown|stop|close))$",
    re.I,
)
_ENDING_CALLS = {
    "aclose",
    "close",
    "cancel",
    "kill",
    "stop",
    "terminate",
    "disconnect",
    "wait_closed",
    "shutdown",
}
_SPAWNING = {
    "create_task",
    "ensure_future",
    "start_soon",
    "submit",
    "run_in_executor",
    "run_coroutine_threadsafe",
    "to_thread",
    "apply_async",
}
_POSITIONS = {"run_in_executor": 1}


class Start(NamedTuple):
    """One place that starts a function of this file beside the caller."""

    by: By
    function: FunctionNode
    call: ast.Call
    home: Home


class Roles:
    """Answers for one file, remembered."""

    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self._starts = list(self._find())
        self._of: dict[FunctionNode, list[Start]] = {}
        for item in self._starts:
            self._of.setdefault(item.function, []).append(item)

    @cached_property
    def started(self) -> set[str]:
        """The names of the functions that something starts."""
        return {function.name for function in self._of if not generates(function)}

    def starts(self, function: FunctionNode | None) -> list[Start]:
        """Who starts the function as a thread, process or task. Empty for generators and for everything else."""
        if function is None or generates(function):
            return []
        return self._of.get(function, [])

    def handler(self, function: FunctionNode | None) -> bool:
        """Whether a server calls the function once per request, message or connection."""
        if function is None:
            return False
        if any(self._routes(item, function) for item in function.decorator_list) or _DO.match(function.name):
            return True
        arguments = [*function.args.posonlyargs, *function.args.args]
        names = [item.arg for item in arguments]
        if names[-3:] == ["scope", "receive", "send"]:
            return True
        if names == ["event", "context"] and function.name in _LAMBDAS:
            return True
        if self._views and next((name for name in names if name != "self"), "") == "request":
            return True
        first = next((item for item in arguments if item.arg not in ("self", "cls")), None)
        if first is not None and _last(first.annotation) in _REQUESTS:
            return True
        owner = self.outline.homes[function].owner
        bases = [item.rpartition(".")[2] for item in self.outline.bases(owner)] if owner else []
        if function.name == "handle" and any(item.endswith("RequestHandler") for item in bases):
            return True
        return names[-1:] == ["context"] and any(item.endswith("Servicer") for item in bases)

    def _routes(self, decorator: ast.expr, function: FunctionNode) -> bool:
        """Whether the decorator makes a request handler; the commands of click run once per program."""
        match callee(decorator):
            case ast.Attribute(value=receiver, attr="command"):
                written = ast.unparse(receiver).rpartition(".")[2]
                return _CLI.isdisjoint(self.outline.facts.packages) and not written.endswith("cli")
            case ast.Attribute(attr="on_event"):  # startup and shutdown of a server
                return False
            case ast.Attribute(attr="event") if not isinstance(decorator, ast.Call):  # `@timeline.event`
                return isinstance(function, ast.AsyncFunctionDef)
            case ast.Attribute(attr=name) if name in _ROUTES:
                return True
            case ast.Attribute(attr=name) | ast.Name(id=name):
                return not self.outline.facts.packages.isdisjoint(_TASKS.get(name, ()))
        return False

    @cached_property
    def _views(self) -> bool:
        """Whether the file holds views of Django, which are called with the request and carry no mark."""
        place = PurePath(self.outline.facts.source.path)
        named = place.stem == "views" or place.parent.name == "views"
        return named and "django" in self.outline.facts.packages

    def _find(self) -> Iterator[Start]:
        for owner in (item for found in self.outline.classes.values() for item in found):
            bases = {library.canonical(base) for base in self.outline.bases(owner)}
            run = self.outline.method(owner, "run")
            if run is not None and bases & library.INHERITED:
                by: By = "process" if library.PROCESS in bases else "thread"
                yield Start(by, run, ast.Call(ast.Name(owner.name), [], []), self.outline.homes[run])
        for call, home in self.outline.calls:
            for by, expression in self._started(call, home):
                handed = expression.body if isinstance(expression, ast.Lambda) else expression
                if isinstance(expression, ast.Lambda) and isinstance(handed, ast.Call):
                    handed = handed.func
                function = self.outline.referred(handed, home)
                if function is not None:
                    yield Start(by, function, call, home)

    def _started(self, call: ast.Call, home: Home) -> Iterator[tuple[By, ast.expr]]:
        """What the call starts: the function, as written there."""
        name = leaf(call.func)
        qualified = library.canonical(self.outline.qualified(call.func, home.bound) or "")
        target = argument(call, "target", 1) if name != "Timer" else argument(call, "function", 1)
        if target is not None and (qualified in library.INHERITED or name in ("Thread", "Process", "Timer")):
            yield "process" if name == "Process" else "thread", target
        if name in _SPAWNING:
            index = _POSITIONS.get(name, 0)
            if len(call.args) > index:
                handed = call.args[index]
                if isinstance(handed, ast.Call) and name in (
                    "create_task",
                    "ensure_future",
                    "run_coroutine_threadsafe",
                ):
                    handed = handed.func
                yield _by(name, call), handed


def may_handle(sketch: Sketch) -> bool:
    """Whether a function of the region looks like a handler of requests, as far as it tells itself."""
    return any(_may_handle(function) for function in sketch.functions)


def _may_handle(function: FunctionNode) -> bool:
    if decorators(function) & (_ROUTES | _TASKS.keys()):
        return True
    arguments = [*function.args.posonlyargs, *function.args.args]
    told = any(item.arg in _HANDED or _last(item.annotation) in _REQUESTS for item in arguments)
    return told or function.name == "handle" or _DO.match(function.name) is not None


def starts_in(sketch: Sketch) -> bool:
    """Whether something of this file starts a function with the name of one of the region as a thread, process or task."""
    named = {item.name for item in sketch.functions if item.name == "run" or sketch.mentioned_elsewhere(item)}
    return bool(named) and not sketch.facts.about(*named).outline.once(Roles).started.isdisjoint(named)


def handles(sketch: Sketch) -> bool:
    """Whether a server calls a function of the region once per request, message or connection."""
    return may_handle(sketch) and any(map(sketch.facts.outline.once(Roles).handler, sketch.functions))


def is_cleanup(tree: Tree, node: cst.CSTNode, element: cst.BaseExpression | None = None) -> bool:
    """Whether a node stands in clean-up code: a closing function, a `finally` or `except` body.

    `element` is what is called for each item: `s.aclose()` is clean-up wherever it stands.
    """
    match element:
        case cst.Call(func=cst.Attribute(attr=cst.Name(value=name))) if name in _ENDING_CALLS:
            return True
    return any(
        isinstance(above, (cst.Finally, cst.ExceptHandler))
        or (isinstance(above, cst.FunctionDef) and closes(above.name.value))
        for above in tree.ancestors(node)
    )


def at_work(sketch: Sketch, calls: Iterable[ast.Call]) -> list[ast.Call]:
    """A gate's question: those of the calls that stand in no clean-up code, as `is_cleanup` has it."""
    ends: list[ast.AST] = [function for function in sketch.functions if closes(function.name)]
    for node in sketch.of(ast.Try):
        ends += (*node.handlers, *node.finalbody)
    ending = {part for node in ends for part in ast.walk(node)}
    return [call for call in calls if call not in ending]


def closes(name: str) -> bool:
    """Whether a function's name says that it ends things."""
    return _CLEANUP.match(name) is not None


def _by(name: str, call: ast.Call) -> By:
    if name in ("submit", "run_in_executor", "apply_async"):
        return "executor"
    if name == "to_thread":
        return "to-thread"
    if name == "start_soon":
        return "group"
    receiver = call.func.value if isinstance(call.func, ast.Attribute) else None
    grouped = isinstance(receiver, ast.Name) and re.search(r"(^|_)(tg|group|nursery)", receiver.id)
    return "group" if grouped else "task"


def _last(annotation: ast.expr | None) -> str:
    match annotation:
        case ast.Constant(value=str(text)):
            return text.rpartition(".")[2]
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name
        case ast.Subscript(value=value):
            return _last(value)
    return ""
