"""Calls that start work which runs beside the caller: tasks, threads, processes, and pool submissions."""

from __future__ import annotations

import ast
from typing import Literal, NamedTuple

import libcst as cst

from perflint.analysis import library
from perflint.analysis.match import dotted, keyword
from perflint.analysis.objects import Made, Objects
from perflint.analysis.sketch import Sketch

How = Literal["task", "group", "thread", "process", "executor", "pool", "loop-executor"]

_CONSTRUCTED: dict[str, How] = {**dict.fromkeys(library.THREADS, "thread"), library.PROCESS: "process"}
_TASKS = {"asyncio.create_task", "asyncio.ensure_future", "asyncio.run_coroutine_threadsafe"}

_STARTERS = (*library.spellings(library.INHERITED), "_thread.start_new_thread")


class Spawn(NamedTuple):
    """One spawning call. `work` is the coroutine call, or the function that is handed over."""

    call: cst.Call
    how: How
    name: str  # for messages: `asyncio.create_task`, `tg.start_soon`, `Thread`
    work: cst.BaseExpression | None
    made: Made | None = None  # of a thread or process, and the receiver's of a method


def spawn(objects: Objects, node: cst.CSTNode) -> Spawn | None:
    """The spawn that this call is, or None."""
    if not isinstance(node, cst.Call):
        return None
    function = objects.function(node.func)
    if function in _TASKS:
        return Spawn(node, "task", function, _argument(node, 0))
    if function == "asyncio.to_thread":
        return Spawn(node, "loop-executor", function, _argument(node, 0))
    if function in ("_thread.start_new_thread", "thread.start_new_thread"):
        return Spawn(node, "thread", function, _argument(node, 0))
    if isinstance(node.func, cst.Attribute):
        found = objects.method(node)
        if found is not None:
            return _by_method(objects, node, *found)
    made = objects.of(node)
    how = _CONSTRUCTED.get(made.type) if made is not None else None
    if made is None or how is None:
        return None
    timer = made.type == "threading.Timer"
    work = keyword(node, "function" if timer else "target") or _argument(node, 1)
    return Spawn(node, how, made.type.rpartition(".")[2], work, made)


def _by_method(objects: Objects, node: cst.Call, kind: str, method: str) -> Spawn | None:
    made = objects.of(node.func.value) if isinstance(node.func, cst.Attribute) else None
    written = dotted(node.func) or method
    if kind == library.LOOP and method == "create_task":
        return Spawn(node, "task", written, _argument(node, 0), made)
    if kind == library.LOOP and method == "run_in_executor":
        return Spawn(node, "loop-executor", written, _argument(node, 1), made)
    if kind in library.GROUPS and method in ("create_task", "start_soon"):
        return Spawn(node, "group", written, _argument(node, 0), made)
    if kind in library.EXECUTORS and method == "submit":
        return Spawn(node, "executor", written, _argument(node, 0), made)
    if kind in library.POOLS and method in ("apply_async", "map_async", "starmap_async"):
        return Spawn(node, "pool", written, _argument(node, 0), made)
    made = objects.of(node)
    how = _CONSTRUCTED.get(made.type) if made is not None else None
    if made is not None and how is not None:  # `get_context().Process(target=f)`
        return Spawn(node, how, made.type.rpartition(".")[2], keyword(node, "target"), made)
    return None


def _argument(node: cst.Call, position: int) -> cst.BaseExpression | None:
    for index, item in enumerate(node.args):
        if item.star or item.keyword is not None:
            return None
        if index == position:
            return item.value
    return None


def starters(sketch: Sketch) -> set[ast.Call]:
    """The calls that may make a thread or a process, those of classes of the file included."""
    found = {*sketch.calls_to(*_STARTERS), *sketch.methods("Process")}  # a context's Process
    if sketch.file_mentions(*library.makers(library.INHERITED)):
        calls = ((call, call.func) for call in sketch.of(ast.Call))
        found.update(
            call for call, name in calls if isinstance(name, ast.Name) and _is_class(name.id, sketch)
        )
    return found


def _is_class(name: str, sketch: Sketch) -> bool:
    return sketch.facts.holds(b"class " + name.encode())
