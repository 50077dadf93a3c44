"""What a process can say about itself: threads, the collector, a few figures. Names, files and lines only."""

from __future__ import annotations

import gc
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Collection
from typing import Any

from ._memory_limit import memory_limit, resident
from ._sampler import lines_of, plain

_MOST_THREADS, _MOST_PAUSES = 500, 20


class PauseLog:
    """The last collections and how long each stopped the thread that it ran in."""

    def __init__(self) -> None:
        self._begun = 0.0
        self._pauses: deque[dict[str, Any]] = deque(maxlen=_MOST_PAUSES)
        self._note = self._on_collection  # one object, so that it can be found again
        gc.callbacks.append(self._note)

    def close(self) -> None:
        if self._note in gc.callbacks:
            gc.callbacks.remove(self._note)

    def facts(self) -> dict[str, Any]:
        size = resident()
        return {
            "enabled": gc.isenabled(),
            "thresholds": list(gc.get_threshold()),
            "counts": list(gc.get_count()),
            "frozen": gc.get_freeze_count() if hasattr(gc, "get_freeze_count") else None,
            "generations": gc.get_stats(),
            "last_pauses": list(self._pauses),
            "resident_bytes": size,
            "limit_bytes": memory_limit(),
        }

    def _on_collection(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._begun = time.perf_counter()
            return
        milliseconds = round((time.perf_counter() - self._begun) * 1000, 3)
        self._pauses.append(
            {"generation": info["generation"], "ms": milliseconds, "collected": info["collected"]}
        )


def thread_facts(leave_out: Collection[int]) -> list[dict[str, Any]]:
    """Each thread with its stack, the main thread first."""
    known = {thread.ident: thread for thread in threading.enumerate()}
    main = threading.main_thread().ident
    found: list[dict[str, Any]] = []
    frames = sys._current_frames()
    for ident in sorted(frames, key=lambda ident: (ident != main, ident)):
        if ident in leave_out or len(found) >= _MOST_THREADS:
            continue
        thread = known.get(ident)
        found.append(
            {
                "name": plain(thread.name) if thread else "",
                "ident": ident,
                "native_id": thread.native_id if thread else None,
                "daemon": thread.daemon if thread else None,
                "stack": [frame._asdict() for frame in lines_of(frames[ident])],
            }
        )
    return found


def process_facts(begun: float) -> dict[str, Any]:
    """`begun` is when the server started, on the monotonic clock."""
    used = os.times()
    return {
        "python": sys.version.split()[0],
        "implementation": sys.implementation.name,
        "platform": sys.platform,
        "pid": os.getpid(),
        "served_seconds": round(time.monotonic() - begun, 1),
        "cpu_seconds": {"user": round(used.user, 2), "system": round(used.system, 2)},
        "threads": threading.active_count(),
        "open_files": _open_files(),
        "modules": len(sys.modules),
        "resident_bytes": resident(),
        "limit_bytes": memory_limit(),
        "switch_interval": sys.getswitchinterval(),
        "recursion_limit": sys.getrecursionlimit(),
    }


def as_text(value: Any, indent: str = "") -> str:
    """Nested facts, one a line; frames as `name (file:line)`, plain lists and plain dicts of a list on one line."""
    if isinstance(value, dict):
        return "".join(_named(name, item, indent) for name, item in value.items())
    if not isinstance(value, list):
        return f"{indent}{value}\n"
    blocks = [f"{indent}{_line(item)}\n" if _is_flat(item) else as_text(item, indent) for item in value]
    return ("" if all(map(_is_flat, value)) else "\n").join(blocks)


def _named(name: str, item: Any, indent: str) -> str:
    if isinstance(item, list) and item and not any(isinstance(part, (dict, list, str)) for part in item):
        return f"{indent}{name}: {', '.join(map(str, item))}\n"
    if isinstance(item, (dict, list)) and item:
        return f"{indent}{name}:\n{as_text(item, indent + '  ')}"
    return f"{indent}{name}: {'none' if item is None or item == [] else item}\n"


def _is_flat(item: Any) -> bool:
    return not isinstance(item, dict) or not any(isinstance(part, (dict, list)) for part in item.values())


def _line(item: Any) -> str:
    if not isinstance(item, dict):
        return str(item)
    if item.keys() == {"name", "file", "line"}:
        return f"{item['name']} ({item['file']}:{item['line']})"
    return ", ".join(f"{name} {part}" for name, part in item.items())


def _open_files() -> int | None:
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    except OSError:
        return None
