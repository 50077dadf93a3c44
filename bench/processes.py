"""What a command costs: CPU time, time that passes and peak memory of a whole process, its children included."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_MAXRSS = 1 if sys.platform == "darwin" else 1024  # bytes in a unit of ru_maxrss


class Failed(Exception):
    """A command that could not be measured, in one line."""


class Used(NamedTuple):
    """Seconds of CPU of all its processes, seconds that passed, and bytes of its largest process."""

    cpu: float
    wall: float
    peak: int


def run(command: Sequence[str], cwd: Path, env: Mapping[str, str], output: Path | None = None) -> Used:
    """Run a command to its end. Raise Failed where it does not end with 0 or 1, as linters do.

    Its output goes to `output`, or nowhere. The peak of a small process is that of this one
    when it starts it, so import nothing large here.
    """
    with tempfile.TemporaryFile() as errors, Path(output or os.devnull).open("wb") as stream:
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **env},
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=errors,
        )
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            process.wait()
            raise
        wall = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode not in (0, 1):
            errors.seek(0)
            said = errors.read().decode("utf-8", "replace").strip().splitlines() or ["no message"]
            raise Failed(f"{' '.join(command[:6])} .. ended with {process.returncode}: {said[-1]}")
    return Used(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * _MAXRSS)


def report(name: str, measure: Callable[[], dict[str, Any]], file: Path | None) -> int:
    """Measure, print the tables of `bench.tables.NAME`, and write the figures to `file` if there is one; the exit code."""
    try:
        result = measure()
    except (Failed, OSError) as error:
        print(f"bench/{name}.py: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    from bench import tables  # only now: `run` wants this process small

    print(getattr(tables, name)(result))
    if file:
        file.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0
