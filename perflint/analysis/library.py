"""Which calls make which objects, and how these are called: the standard library, anyio, trio, drivers, clients.

Types carry the name that users write: `concurrent.futures.ThreadPoolExecutor`, wherever it is defined.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from perflint.analysis.connections import clients
from perflint.analysis.database import drivers
from perflint.analysis.exposure import frameworks

THREAD_EXECUTOR = "concurrent.futures.ThreadPoolExecutor"
PROCESS_EXECUTOR = "concurrent.futures.ProcessPoolExecutor"
EXECUTORS = frozenset(
    {
        THREAD_EXECUTOR,
        PROCESS_EXECUTOR,
        "concurrent.futures.InterpreterPoolExecutor",
        "concurrent.futures.Executor",
    }
)
PROCESS_POOL = "multiprocessing.Pool"
THREAD_POOL = "multiprocessing.pool.ThreadPool"
POOLS = frozenset({PROCESS_POOL, THREAD_POOL})
LOOP = "asyncio.AbstractEventLoop"
GROUPS = frozenset({"asyncio.TaskGroup", "anyio.abc.TaskGroup", "trio.Nursery"})
TASK = "asyncio.Task"
FUTURE = "concurrent.futures.Future"
RESULT = "multiprocessing.pool.AsyncResult"
THREADS = frozenset({"threading.Thread", "threading.Timer"})
PROCESS = "multiprocessing.Process"

THREAD_QUEUES = frozenset({"queue.Queue", "queue.LifoQueue", "queue.PriorityQueue", "queue.SimpleQueue"})
ASYNC_QUEUES = frozenset({"asyncio.Queue", "asyncio.LifoQueue", "asyncio.PriorityQueue"})
PROCESS_QUEUES = frozenset(
    {"multiprocessing.Queue", "multiprocessing.JoinableQueue", "multiprocessing.SimpleQueue"}
)
QUEUES = THREAD_QUEUES | ASYNC_QUEUES | PROCESS_QUEUES

_LOCKS = ("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore")
THREAD_LOCKS = frozenset(f"{module}.{name}" for module in ("threading", "multiprocessing") for name in _LOCKS)
ASYNC_LOCKS = frozenset(
    f"{module}.{name}"
    for module in ("asyncio", "anyio", "trio")
    for name in (*_LOCKS, "CapacityLimiter", "StrictFIFOLock")
) - {"asyncio.RLock", "asyncio.CapacityLimiter"}
LIMITERS = frozenset(
    name for name in THREAD_LOCKS | ASYNC_LOCKS if name.endswith(("Semaphore", "CapacityLimiter"))
)
EVENTS = frozenset({"threading.Event", "multiprocessing.Event", "asyncio.Event", "anyio.Event", "trio.Event"})
RUNTIME = "perflint.runtime"
RUNTIME_POOLS = frozenset({f"{RUNTIME}.WorkerPool", f"{RUNTIME}.AsyncWorkerPool"})

# Classes that are found under several names.
_SAME = {
    "asyncio.queues.": "asyncio.",
    "asyncio.locks.": "asyncio.",
    "asyncio.tasks.": "asyncio.",
    "asyncio.events.": "asyncio.",
    "asyncio.taskgroups.": "asyncio.",
    "concurrent.futures.thread.": "concurrent.futures.",
    "concurrent.futures.process.": "concurrent.futures.",
    "concurrent.futures._base.": "concurrent.futures.",
    "multiprocessing.context.": "multiprocessing.",
    "multiprocessing.queues.": "multiprocessing.",
    "multiprocessing.process.": "multiprocessing.",
    "multiprocessing.synchronize.": "multiprocessing.",
    "trio.lowlevel.": "trio.",
}
_ALIASES = {
    "multiprocessing.dummy.Pool": THREAD_POOL,
    "multiprocessing.dummy.Process": "threading.Thread",
    "multiprocessing.pool.Pool": PROCESS_POOL,
    "multiprocessing.BaseProcess": PROCESS,
    "asyncio.BaseEventLoop": LOOP,
    "asyncio.Future": TASK,
    "anyio.TaskGroup": "anyio.abc.TaskGroup",
    "anyio.abc.CapacityLimiter": "anyio.CapacityLimiter",
    "anyio.abc.Semaphore": "anyio.Semaphore",
    **drivers.ALIASES,
    **clients.ALIASES,
    **frameworks.ALIASES,
}

CLASSES = (
    EXECUTORS | POOLS | {LOOP} | GROUPS | {TASK, FUTURE, RESULT} | THREADS | {PROCESS}
    | QUEUES | THREAD_LOCKS | ASYNC_LOCKS | EVENTS | RUNTIME_POOLS
    | {"threading.Barrier", "multiprocessing.Barrier"} | drivers.CLASSES | clients.CLASSES
    | frameworks.CLASSES
)  # fmt: skip

# Functions, and what they return.
RETURNS = {
    "asyncio.get_running_loop": LOOP,
    "asyncio.get_event_loop": LOOP,
    "asyncio.new_event_loop": LOOP,
    "asyncio.create_task": TASK,
    "asyncio.ensure_future": TASK,
    "asyncio.run_coroutine_threadsafe": FUTURE,
    "asyncio.wrap_future": TASK,
    "anyio.create_task_group": "anyio.abc.TaskGroup",
    "trio.open_nursery": "trio.Nursery",
    "multiprocessing.get_context": "multiprocessing",  # what its attributes make is made by the module
    **drivers.RETURNS,
    **clients.RETURNS,
}
# (kind of receiver, method) -> what it returns.
METHODS = {
    **{(kind, "submit"): FUTURE for kind in EXECUTORS},
    **{(kind, method): RESULT for kind in POOLS for method in ("apply_async", "map_async", "starmap_async")},
    **{(kind, "create_task"): TASK for kind in (LOOP, "asyncio.TaskGroup")},
    (LOOP, "run_in_executor"): TASK,
    **drivers.METHODS,
    **clients.METHODS,
}
# (type, attribute) -> the attribute's type; "*" stands for any attribute and any subscript.
ATTRIBUTES = {**drivers.ATTRIBUTES, **frameworks.ATTRIBUTES}
# What gives back what it is given, for a `with`.
WRAPPERS = frozenset({"contextlib.closing", "contextlib.aclosing", "contextlib.nullcontext"})
# A base class of a class of this file that makes its objects count as of that type.
SUBCLASSED = THREADS | {PROCESS} | frameworks.CLASSES
# Those of them whose objects run on their own.
INHERITED = THREADS | {PROCESS}

# Functions that return what their first argument names: {function: {argument: type}}.
NAMED = drivers.NAMED


def canonical(qualified: str) -> str:
    """The one name of a class or function: `concurrent.futures.thread.X` is `concurrent.futures.X`."""
    for prefix, plain in _SAME.items():
        if qualified.startswith(prefix):
            qualified = plain + qualified[len(prefix) :]
    return _ALIASES.get(qualified, qualified)


def spellings(kinds: Iterable[str]) -> tuple[str, ...]:
    """Every qualified name that means one of the types: for gates, which look at what a file imports."""
    found = set(kinds)
    found.update(alias for alias, target in _ALIASES.items() if target in found)
    for kind in tuple(found):
        found.update(prefix + kind[len(plain) :] for prefix, plain in _SAME.items() if kind.startswith(plain))
    return tuple(sorted(found))


@cache
def makers(kinds: frozenset[str]) -> tuple[str, ...]:
    """The qualified names one of which a file writes where it makes, or is given, an object of one of the types."""
    found: set[str] = set()
    queue = set(kinds)
    while queue - found:
        found |= queue
        queue = {name for name, kind in RETURNS.items() if kind in found}
        queue |= {owner for (owner, _), kind in METHODS.items() if kind in found}
        queue |= {owner for (owner, _), kind in ATTRIBUTES.items() if kind in found}
        queue |= {name for name, kinds in NAMED.items() if not found.isdisjoint(kinds.values())}
        if any(name.startswith("multiprocessing.") for name in found):
            queue.add("multiprocessing.get_context")  # what it returns makes what the module makes
    return spellings(found)


def made_by(qualified: str) -> str | None:
    """The type of what a call of this qualified name returns, or None."""
    name = canonical(qualified)
    return name if name in CLASSES else RETURNS.get(name)
