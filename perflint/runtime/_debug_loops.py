"""What the tasks of event loops wait for, and where a loop that does not answer stands."""

from __future__ import annotations

import sys
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

from ._sampler import Frame, frame_of, lines_of, plain

if TYPE_CHECKING:
    import asyncio
    from asyncio import AbstractEventLoop

_ANSWER = 0.5  # seconds for a loop to answer
_MOST_TASKS, _MOST_DEPTH, _MOST_NAMES = 10_000, 50, 5


class LoopWatch:
    """Event loops to ask for their tasks; they are not kept alive."""

    def __init__(self) -> None:
        self._watched: weakref.WeakKeyDictionary[AbstractEventLoop, _Watched] = weakref.WeakKeyDictionary()
        self._lock = threading.Lock()

    def add(self, loop: AbstractEventLoop) -> None:
        """TypeError for what is no event loop."""
        if not callable(getattr(loop, "call_soon_threadsafe", None)):
            raise TypeError(f"expected an asyncio event loop, got {type(loop).__name__}")
        with self._lock:
            if loop in self._watched:
                return
            watched = self._watched[loop] = _Watched()
        if _running_loop() is loop:
            watched.ident = threading.get_ident()
        elif not loop.is_closed():
            loop.call_soon_threadsafe(watched.learn)  # so that its thread is known when it is blocked

    def add_running(self) -> None:
        """The loop of the coroutine that calls this, if one does."""
        loop = _running_loop()
        if loop is not None:
            self.add(loop)

    def dump(self, wait: float = _ANSWER) -> list[dict[str, Any]]:
        """Each loop's tasks, or the stack of the thread that keeps it from answering."""
        with self._lock:
            loops = [(loop, watched) for loop, watched in self._watched.items() if not loop.is_closed()]
        asked = [(loop, watched, watched.ask(loop)) for loop, watched in loops]
        deadline = time.monotonic() + wait
        dumps: list[dict[str, Any]] = []
        for loop, watched, answer in asked:
            if answer is None:
                dumps.append({"loop": _kind(loop), "state": "not running", "tasks": []})
            elif answer.done.wait(max(0.0, deadline - time.monotonic())):
                dumps.append({"loop": _kind(loop), "state": "answers", **answer.found})
            else:
                frame = sys._current_frames().get(watched.ident or 0)
                stack = [frame._asdict() for frame in lines_of(frame)]
                dumps.append({"loop": _kind(loop), "state": "blocked", "stack": stack})
        return dumps

    def clear(self) -> None:
        self._watched = weakref.WeakKeyDictionary()

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self.clear()


class _Watched:
    def __init__(self) -> None:
        self.ident: int | None = None  # of the thread it runs in
        self._answer: _Answer | None = None

    def learn(self) -> None:
        self.ident = threading.get_ident()

    def ask(self, loop: AbstractEventLoop) -> _Answer | None:
        """At most one question is in the queue of a loop, however long it is blocked."""
        if not loop.is_running():
            return None
        answer = self._answer
        if answer is None or answer.done.is_set():
            answer = self._answer = _Answer()
            try:
                loop.call_soon_threadsafe(answer.give, self, loop)
            except RuntimeError:  # closed meanwhile
                self._answer = None
                return None
        return answer


class _Answer:
    def __init__(self) -> None:
        self.done = threading.Event()
        self.found: dict[str, Any] = {}

    def give(self, watched: _Watched, loop: AbstractEventLoop) -> None:
        watched.learn()
        try:
            self.found = _tasks(loop)
        except Exception as error:  # such as a task class of others
            self.found = {"count": 0, "tasks": [], "error": type(error).__name__}
        self.done.set()


def _running_loop() -> AbstractEventLoop | None:
    asyncio = sys.modules.get("asyncio")
    try:
        return asyncio.get_running_loop() if asyncio else None
    except RuntimeError:
        return None


def _tasks(loop: AbstractEventLoop) -> dict[str, Any]:
    """The tasks that wait at the same place together."""
    tasks = sys.modules["asyncio"].all_tasks(loop)
    groups: dict[tuple[tuple[Frame, ...], str], list[str]] = {}
    for task, _ in zip(tasks, range(_MOST_TASKS)):  # noqa: B905  # the shorter one ends it
        names = groups.setdefault(_place(task), [])
        names.append(plain(task.get_name()[:80]))
    found = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return {
        "count": len(tasks),
        "tasks": [
            {
                "count": len(names),
                "names": sorted(names)[:_MOST_NAMES],
                "waits_for": target,
                "stack": [frame._asdict() for frame in stack],
            }
            for (stack, target), names in found
        ],
    }


def _place(task: asyncio.Task[Any]) -> tuple[tuple[Frame, ...], str]:
    """The coroutines of a task, from the outermost to the one that waits, and the type of what it waits for."""
    stack: list[Frame] = []
    awaited: Any = task.get_coro()
    while awaited is not None and len(stack) < _MOST_DEPTH:
        for kind in ("cr", "gi", "ag"):
            code = getattr(awaited, f"{kind}_code", None)
            if code is not None:
                frame = getattr(awaited, f"{kind}_frame", None)
                stack.append(frame_of(code, frame.f_lineno if frame is not None else None))
                awaited = getattr(awaited, "gi_yieldfrom" if kind == "gi" else f"{kind}_await", None)
                break
        else:
            return tuple(stack), plain(type(awaited).__qualname__)
    return tuple(stack), ""


def _kind(loop: AbstractEventLoop) -> str:
    return plain(f"{type(loop).__module__}.{type(loop).__qualname__}")
