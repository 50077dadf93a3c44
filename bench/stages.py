"""Where perflint's CPU time goes: `python bench/stages.py FILE.json ARGUMENTS`.

Runs the command `perflint ARGUMENTS` in this process with the functions of STAGES wrapped by a clock, and writes into
FILE.json what each stage took, without the stages called inside it, and how many bytes of source reached it. The engine
itself knows nothing of this. When functions there are renamed, mend STAGES; tests/test_bench.py says so.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from functools import cached_property, wraps
from importlib import import_module
from inspect import getattr_static, isgeneratorfunction
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

Size = Callable[[tuple[Any, ...], Any], int]  # bytes that a call works on, by its arguments and result


class Stage(NamedTuple):
    name: str
    target: str  # module:attribute, where callers look it up
    size: Size | None = None


def _read(_: tuple[Any, ...], source: Any) -> int:
    return len(source.data)


def _source(arguments: tuple[Any, ...], _: object) -> int:
    return len(arguments[0].data)


def _file(arguments: tuple[Any, ...], _: object) -> int:
    return len(arguments[1].data)


def _facts(arguments: tuple[Any, ...], _: object) -> int:
    return len(arguments[0].source.data)


def _text(arguments: tuple[Any, ...], _: object) -> int:
    return len(arguments[0])


def _region(arguments: tuple[Any, ...], _: object) -> int:
    start, end = arguments[1].span
    return end - start


STAGES = (
    Stage("find files", "perflint.project.files:find"),
    Stage("read", "perflint.project.cache:read"),
    Stage("read", "pathlib:Path.read_bytes"),
    Stage("read", "perflint.project.jobs:Source", _read),
    Stage("load rules", "perflint.analysis.registry:rules"),
    Stage("load rules", "perflint.analysis.registry:_Listed.loaded"),
    Stage("words", "perflint.analysis.hopes:Hopes.met", _file),
    Stage("draft", "perflint.analysis.draft:Draft.__init__", _file),
    Stage("gates", "perflint.analysis.planning:_plans"),
    Stage("draft ast", "perflint.analysis.draft:_parsed", _text),
    Stage("sketches", "perflint.analysis.sketch:_index"),
    Stage("syntax", "perflint.analysis.syntax:parses", _source),
    Stage("ast", "perflint.analysis.syntax:parse", _source),
    Stage("facts", "perflint.analysis.facts:Facts.__init__", _file),
    Stage("depth", "perflint.analysis.regions:too_deep"),
    Stage("parse", "perflint.analysis.visits:parse", _region),
    Stage("walk", "perflint.analysis.visits:walk"),
    Stage("spans", "perflint.analysis.tree:Tree._spans"),
    Stage("rules", "perflint.analysis.visits:_visit"),
    Stage("suppressions", "perflint.analysis.suppress:apply", _facts),
    Stage("report", "perflint.reports.text:_lines"),
)


class Clock:
    """CPU time by stage; time in an inner stage counts for that one alone."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.bytes: dict[str, int] = {}
        self._inside = ["other"]
        self._since = time.process_time()

    def switch(self) -> None:
        """Book the time since the last switch."""
        now = time.process_time()
        stage = self._inside[-1]
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._since
        self._since = now

    def timed(self, stage: Stage, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with its time booked. A generator is run to its end at once: its callers are no part of it."""
        lazy = isgeneratorfunction(function)

        @wraps(function, updated=())
        def wrapper(*arguments: Any, **options: Any) -> Any:
            self.switch()
            self._inside.append(stage.name)
            try:
                result = function(*arguments, **options)
                result = list(result) if lazy else result
            finally:
                self.switch()
                self._inside.pop()
            if stage.size is not None:
                self.bytes[stage.name] = self.bytes.get(stage.name, 0) + stage.size(arguments, result)
            return result

        return wrapper


def targets() -> Iterator[tuple[Stage, Any, str, Any]]:
    """Each stage with the object that holds its function, the attribute and the function; LookupError where there is none."""
    for stage in STAGES:
        module, _, path = stage.target.partition(":")
        owner: Any = import_module(module)
        *outer, name = path.split(".")
        for part in outer:
            owner = getattr(owner, part)
        function = getattr_static(owner, name, None)  # inherited ones too: Python 3.13.0's Path.read_bytes is
        if function is None:
            raise LookupError(f"{module} has no {path}; mend STAGES in bench/stages.py")
        yield stage, owner, name, function


def wrapped() -> Clock:
    """A clock around every stage of this process; `start` is what Python and all imports took until now."""
    found = list(targets())
    clock = Clock()
    clock.seconds["start"] = time.process_time()
    for stage, owner, name, function in found:
        if isinstance(function, cached_property):
            function.func = clock.timed(stage, function.func)
        else:
            setattr(owner, name, clock.timed(stage, function))
    return clock


def main() -> int:
    from perflint.cli import app

    clock = wrapped()
    code = app.run(sys.argv[2:])
    clock.switch()
    Path(sys.argv[1]).write_text(json.dumps({"seconds": clock.seconds, "bytes": clock.bytes}))
    return code


if __name__ == "__main__":
    sys.exit(main())
