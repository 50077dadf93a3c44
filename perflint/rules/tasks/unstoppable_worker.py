"""A thread that keeps the process alive runs a loop without a way out.

At the end of the program the interpreter waits for every thread that is no daemon, and for every child process.
A worker that loops for ever keeps it waiting for ever: the service does not restart, the test run does not end, and
only a signal that cannot be caught helps. `daemon=True` is no cure by itself: the worker is cut off in the middle of
its work, and what is queued is lost.

Bad:

    import queue
    import threading

    jobs = queue.Queue(maxsize=100)


    def worker():
        while True:
            job = jobs.get()
            job()


    def start():
        threading.Thread(target=worker).start()

Good:

    import queue
    import threading

    jobs = queue.Queue(maxsize=100)


    def worker():
        while True:
            job = jobs.get()
            if job is None:
                return
            job()


    def start():
        threading.Thread(target=worker).start()

`jobs.put(None)` ends it. An `Event` that the loop tests, `Queue.shutdown()` (Python 3.13) or a `WorkerPool` do too.

Not flagged: daemon threads, also where `.daemon = True` is set later; loops with a test, a `break`, `return`, `raise`
or a call that ends the thread or the process; loops inside a `try`, which an exception ends; functions of other
modules. Processes are info, and not flagged where the file terminates them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.concurrency.daemons import is_daemon
from perflint.analysis.concurrency.endless import endless, may_be_endless
from perflint.analysis.concurrency.spawns import starters
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted
from perflint.analysis.objects import Made, argument
from perflint.analysis.outline import FunctionNode, Home, leaf
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Finding, Severity


def _hopeful(sketch: Sketch) -> bool:
    if not may_be_endless(sketch.facts.source.data):
        return False
    made = starters(sketch)
    daemons = (item for call in made for item in call.keywords if item.arg == "daemon")
    given = sum(isinstance(item.value, ast.Constant) and bool(item.value.value) for item in daemons)
    return given < len(made) and any(_may_run_on(call, sketch) for call in made)


def _may_run_on(call: ast.Call, sketch: Sketch) -> bool:
    """Whether what is started may be endless, where a function without others in it starts it by one of these names."""
    name = leaf(call.func)
    if name not in ("Thread", "Process", "Timer") or sketch.functions != [sketch.region.node]:
        return True
    target = argument(call, "function" if name == "Timer" else "target", 1)
    if isinstance(target, ast.Call):  # of `functools.partial`
        return True
    worker = leaf(target) or name
    outline = sketch.facts.about(name, worker).outline
    return name in outline.classes or any(
        endless(item, outline) for item in outline.functions.get(worker, ())
    )


rule = Rule(
    code="PRF313",
    name="unstoppable-worker",
    summary="a thread that keeps the process alive runs a loop without a way out",
    category="tasks",
    severity=Severity.WARNING,
    since="0.1",
    fix="never",
    gate=Gate(
        names=(
            *("threading.Thread", "threading.Timer", "multiprocessing.dummy.Process"),
            *(
                "multiprocessing.Process",
                "multiprocessing.context.Process",
                "multiprocessing.process.BaseProcess",
            ),
        ),
        beside=(("multiprocessing", b".Process"),),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    service=True,
)

_KILLS = (b".terminate()", b".kill()", b"os.kill(", b"os._exit(")
_LEAVES = (b"os._exit(", b"os.kill(os.getpid()", b"os.abort(")
_KINDS = library.THREADS | {library.PROCESS}


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    if not _may_make_thread(node, context):
        return
    made = context.objects.of(node)
    if made is None or made.type not in _KINDS or not made.calls:
        return
    home = context.objects.home(node)
    worker = _worker(node, made, home, context)
    if (
        worker is None
        or not endless(worker, context.facts.outline)
        or _leaves_with_main(node, made, home, context)
    ):
        return
    process = made.type == library.PROCESS
    if any(text in context.source.data for text in (_KILLS if process else _LEAVES)):
        return
    what = "process" if process else "thread"
    harm = "the parent" if process else "the interpreter"
    message = (
        f"non-daemon {what} runs a loop with no exit in `{worker.name}`: {harm} can never finish; "
        f"{_mends(context)}"
    )
    yield rule.finding(context, node, message, severity=Severity.INFO if process else None)


def _mends(context: Context) -> str:
    low = context.config.target.low
    shutdown = ", call `Queue.shutdown()`" if low >= (3, 13) else ""
    return f"give it an Event or a sentinel{shutdown}" + (", or use a WorkerPool" if low >= (3, 10) else "")


def _may_make_thread(node: cst.Call, context: Context) -> bool:
    """By the name alone."""
    match node.func:
        case cst.Attribute(attr=cst.Name(value=name)):
            return name in ("Thread", "Process", "Timer")
        case cst.Name(value=name):
            return name in context.facts.imports_anywhere or name in context.facts.outline.classes
    return False


def _worker(node: cst.Call, made: Made, home: Home, context: Context) -> FunctionNode | None:
    """The function of this file that the thread runs."""
    outline, call = context.facts.outline, made.calls[0]
    if made.subclass is not None:
        return outline.method(made.subclass, "run")
    timer = made.type == "threading.Timer"
    target = argument(call, "function" if timer else "target", 1)
    if target is None or isinstance(target, ast.Starred):
        return None
    if isinstance(target, ast.Name):
        owner = context.scope(node).owner(target.id)
        if owner is not None and any(item.kind != "definition" for item in owner.bindings[target.id]):
            return None
        if owner is None and len(context.facts.bindings.get(target.id, ())) != 1:
            return None
    return outline.referred(target, home)


def _leaves_with_main(node: cst.Call, made: Made, home: Home, context: Context) -> bool:
    """Whether the thread is a daemon, or may be made one where this file cannot see it."""
    if any(item.by == "thread" for item in context.roles.starts(home.function)):
        return True  # a daemon's threads are daemons
    parent = context.tree.parent(node)
    if isinstance(parent, (cst.Return, cst.Yield, cst.Lambda)):
        return True  # the caller's to decide
    place = dotted(parent.targets[0].target) if isinstance(parent, cst.Assign) else None
    return is_daemon(made, place, home, context.facts.outline)
