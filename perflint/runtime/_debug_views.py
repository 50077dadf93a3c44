"""What the debug server answers: one function per address under /debug/."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from ._debug_facts import PauseLog, as_text, process_facts, thread_facts
from ._debug_heap import HeapTracer
from ._debug_http import HTML, JSON, TEXT, Refused, Request, Response, check_caller
from ._debug_loops import LoopWatch
from ._debug_pages import flame_page, index_page, text_page
from ._report import log
from ._sampler import MOST_HZ, MOST_SECONDS, CPUProfile, collapsed, speedscope, take_profile

_ASK = 0.25  # seconds between two questions whether the client of a profile is still there
_ERROR_LEVEL = 40

Fields = dict[str, str]
Gone = Callable[[], bool]


class _Route(NamedTuple):
    method: str
    view: Callable[[DebugViews, Fields, Gone], Any]
    fields: tuple[str, ...] = ()


class DebugViews:
    """The answers of one server, and what they need to keep between requests."""

    def __init__(
        self,
        hosts: Collection[str],
        token: str | None,
        allow_profile: bool,
        closing: threading.Event,
        own_threads: Callable[[], Collection[int]],
    ) -> None:
        self.allow_profile = allow_profile
        self.loops, self.heap, self.pauses = LoopWatch(), HeapTracer(), PauseLog()
        self.begun = time.monotonic()
        self._hosts, self._token = hosts, token
        self._closing, self._own_threads = closing, own_threads
        self._last: CPUProfile | None = None

    def respond(self, request: Request, gone: Gone = lambda: False) -> Response:
        """Never raises an Exception; what went wrong is said in one sentence, and logged if it is our fault."""
        kind = _kind_of(request)
        try:
            check_caller(request, self._hosts, self._token)
            return self._answer(request, kind, gone)
        except Refused as refused:
            return refusal(refused, kind)
        except Exception as error:
            log(_ERROR_LEVEL, "serve_debug: %s failed", request.path[:80], exc=error)
            return refusal(Refused(500, "The request failed; the log of the program says why."), kind)

    def close(self) -> None:
        self.heap.close()
        self.pauses.close()
        self.loops.clear()

    def after_fork(self) -> None:
        global _profiling
        _profiling = threading.Lock()
        self.heap.after_fork()
        self.loops.after_fork()
        self.pauses.close()

    def _answer(self, request: Request, kind: str, gone: Gone) -> Response:
        if request.path in ("/", "/debug"):
            return Response(303, TEXT, "See /debug/.\n", (("Location", "/debug/"),))
        route = ROUTES.get(request.path)
        if route is None:
            raise Refused(404, "There is nothing at this address; GET /debug/ lists what there is.")
        if request.method != route.method:
            raise Refused(405, f"This address answers {route.method} only.", Allow=route.method)
        fields = request.fields()
        fields.pop("format", None)
        for name in fields:
            if name not in route.fields:
                known = ", ".join(("format", *route.fields))
                raise Refused(400, f"There is an unknown parameter; this address knows {known}.")
        found = route.view(self, fields, gone)
        return _rendered(request.path, found, kind, self)


def refusal(refused: Refused, kind: str) -> Response:
    headers = tuple(refused.headers.items())
    if kind == HTML:
        return text_page(f"{refused.status}", refused.sentence, refused.status, headers)
    if kind in (JSON, "speedscope"):
        return Response(refused.status, JSON, _json({"error": refused.sentence}), headers)
    return Response(refused.status, TEXT, f"{refused.sentence}\n", headers)


class _View(NamedTuple):
    """A profile to show, with the box that is the widest."""

    profile: CPUProfile
    zoom: int


class _Done(NamedTuple):
    """What was done, and where a browser goes then."""

    sentence: str
    then: str


def _index(views: DebugViews, fields: Fields, gone: Gone) -> dict[str, Any]:
    return {
        "addresses": [
            f"{route.method} {path}{'?' if route.fields else ''}{'&'.join(f'{name}=' for name in route.fields)}"
            for path, route in ROUTES.items()
        ],
        "formats": "?format=text, json or html; speedscope for profiles",
        "process": process_facts(views.begun),
    }


def _profile(views: DebugViews, fields: Fields, gone: Gone) -> CPUProfile:
    seconds = _number(fields, "seconds", 10.0, 0.1, MOST_SECONDS)
    hz = _number(fields, "hz", 100.0, 1, MOST_HZ)
    waiting = bool(_number(fields, "waiting", 0, 0, 1))
    _allowed(views)
    lock, asked = _profiling, time.monotonic()
    if not lock.acquire(blocking=False):
        raise Refused(409, "A profile is being taken; try again when it is done.")

    def stop(pause: float) -> bool:
        nonlocal asked
        if time.monotonic() - asked >= _ASK:
            asked = time.monotonic()
            if gone():
                return True
        return views._closing.wait(pause)

    try:
        found = take_profile(seconds, hz, waiting=waiting, leave_out=views._own_threads, stop=stop)
    finally:
        lock.release()
    if views._closing.is_set():
        raise Refused(503, "The debug server is being closed.")
    views._last = found
    return found


def _last_profile(views: DebugViews, fields: Fields, gone: Gone) -> _View:
    if views._last is None:
        raise Refused(404, "No profile has been taken; GET /debug/profile takes one.")
    return _View(views._last, int(_number(fields, "zoom", 0, 0, 10**9)))


def _heap(views: DebugViews, fields: Fields, gone: Gone) -> dict[str, Any]:
    group = fields.get("group", "lineno")
    if group not in ("lineno", "filename", "traceback"):
        raise Refused(400, "group must be lineno, filename or traceback.")
    return views.heap.top(int(_number(fields, "top", 30, 1, 1000)), group)


def _heap_diff(views: DebugViews, fields: Fields, gone: Gone) -> dict[str, Any]:
    return views.heap.diff(int(_number(fields, "top", 30, 1, 1000)))


def _heap_start(views: DebugViews, fields: Fields, gone: Gone) -> _Done:
    frames = int(_number(fields, "frames", 1, 1, 25))
    _allowed(views)
    return _Done(views.heap.start(frames), "/debug/heap")


def _heap_stop(views: DebugViews, fields: Fields, gone: Gone) -> _Done:
    return _Done(views.heap.stop(), "/debug/")


def _heap_mark(views: DebugViews, fields: Fields, gone: Gone) -> _Done:
    return _Done(views.heap.mark(), "/debug/heap/diff")


def _threads(views: DebugViews, fields: Fields, gone: Gone) -> dict[str, Any]:
    return {"threads": thread_facts(views._own_threads())}


def _loop_tasks(views: DebugViews, fields: Fields, gone: Gone) -> dict[str, Any]:
    loops = views.loops.dump()
    note = "Loops are known by watch_loop(loop), or by serve_debug() called in one."
    return {"loops": loops} if loops else {"loops": [], "note": note}


def _collector(views: DebugViews, fields: Fields, gone: Gone) -> dict[str, Any]:
    return views.pauses.facts()


def _vars(views: DebugViews, fields: Fields, gone: Gone) -> dict[str, Any]:
    return process_facts(views.begun)


ROUTES: dict[str, _Route] = {
    "/debug/": _Route("GET", _index),
    "/debug/profile": _Route("GET", _profile, ("seconds", "hz", "waiting")),
    "/debug/profile/last": _Route("GET", _last_profile, ("zoom",)),
    "/debug/heap": _Route("GET", _heap, ("top", "group")),
    "/debug/heap/start": _Route("POST", _heap_start, ("frames",)),
    "/debug/heap/stop": _Route("POST", _heap_stop),
    "/debug/heap/mark": _Route("POST", _heap_mark),
    "/debug/heap/diff": _Route("GET", _heap_diff, ("top",)),
    "/debug/threads": _Route("GET", _threads),
    "/debug/tasks": _Route("GET", _loop_tasks),
    "/debug/gc": _Route("GET", _collector),
    "/debug/vars": _Route("GET", _vars),
}
_profiling = threading.Lock()  # one profile of a process at a time, whichever server is asked


def _allowed(views: DebugViews) -> None:
    if not views.allow_profile:
        raise Refused(403, "Profiles and tracing are off: serve_debug(allow_profile=False).")


def _number(fields: Fields, name: str, default: float, least: float, most: float) -> float:
    text = fields.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise Refused(400, f"{name} must be a number from {least:g} to {most:g}.")
    return value


def _kind_of(request: Request) -> str:
    """What is asked for: by `format`, else HTML for browsers and text for others."""
    from urllib.parse import parse_qsl

    try:
        asked = dict(parse_qsl(request.query, max_num_fields=20)).get("format")
    except ValueError:
        asked = None
    if asked is None:
        return HTML if "text/html" in request.headers.get("accept", "") else TEXT
    return {"html": HTML, "json": JSON, "speedscope": "speedscope"}.get(asked, TEXT)


def _rendered(path: str, found: Any, kind: str, views: DebugViews) -> Response:
    if isinstance(found, _Done):
        if kind == HTML:
            return Response(303, TEXT, f"{found.sentence}\n", (("Location", found.then),))
        return (
            Response(200, kind, _json({"done": found.sentence})) if kind == JSON else _plain(found.sentence)
        )
    if isinstance(found, CPUProfile):
        if kind == HTML:  # so that "reload" and "back" do not take another
            return Response(303, TEXT, "See /debug/profile/last.\n", (("Location", "/debug/profile/last"),))
        found = _View(found, 0)
    if isinstance(found, _View):
        return _shown(found, kind)
    if kind == JSON:
        return Response(200, JSON, _json(found))
    if kind == HTML:
        if path == "/debug/":
            return index_page(as_text(found["process"]), views.allow_profile)
        return text_page(path.removeprefix("/debug/"), as_text(found))
    return _plain(as_text(found).rstrip("\n"))


def _shown(view: _View, kind: str) -> Response:
    profile = view.profile
    if kind == HTML:
        return flame_page(profile, view.zoom)
    if kind == "speedscope":
        name = (("Content-Disposition", 'attachment; filename="profile.speedscope.json"'),)
        return Response(200, JSON, _json(speedscope(profile)), name)
    if kind == JSON:
        stacks = [
            {"thread": thread, "count": count, "stack": [frame._asdict() for frame in stack]}
            for (thread, stack), count in sorted(profile.counts.items(), key=lambda item: (-item[1], item[0]))
        ]
        facts = {name: value for name, value in profile._asdict().items() if name != "counts"}
        return Response(200, JSON, _json({**facts, "stacks": stacks}))
    return Response(200, TEXT, collapsed(profile))


def _plain(text: str) -> Response:
    return Response(200, TEXT, f"{text}\n")


def _json(value: object) -> str:
    import json

    return json.dumps(value, indent=1) + "\n"
