"""Where output goes: terminal or file, and the progress line on stderr."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO, TypeVar

from perflint.model.config import ConfigError
from perflint.reports.style import PLAIN, Style, style_for

T = TypeVar("T")

PATIENCE = 2.0  # seconds before progress is shown
_PERIOD = 0.1  # seconds between two states
_CLEAR = "\r\x1b[K"


@contextmanager
def output(file: Path | None) -> Iterator[tuple[TextIO, Style]]:
    """Standard output, or a file that takes its name when all is written."""
    if file is None:
        yield sys.stdout, style_for(sys.stdout.isatty(), os.environ)
        return
    try:
        with _whole(file) as stream:
            yield stream, PLAIN
    except BrokenPipeError:
        raise
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {(error.strerror or str(error)).lower()}") from None


@contextmanager
def _whole(file: Path) -> Iterator[TextIO]:
    import tempfile

    from perflint.project.writing import usual_mode

    if file.exists() and not file.is_file():  # a device or a pipe
        with file.open("w", encoding="utf-8") as stream:
            yield stream
        return
    target = Path(os.path.realpath(file))
    mode = target.stat().st_mode & 0o777 if target.exists() else usual_mode()
    handle, name = tempfile.mkstemp(prefix=".perflint-", dir=target.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as stream:
            yield stream
        Path(name).chmod(mode)
        Path(name).replace(target)
    finally:
        with suppress(OSError):
            Path(name).unlink(missing_ok=True)


def progress(items: Iterable[T], total: int, prints: Callable[[T], bool], quiet: bool) -> Iterator[T]:
    """Pass `items` on; a run that takes long on a terminal shows how far it is.

    `prints` tells whether the caller prints something for an item: the line is out of the way then.
    """
    if quiet or not sys.stderr.isatty():
        yield from items
        return
    due = time.monotonic() + PATIENCE
    shown = False
    try:
        for done, item in enumerate(items, 1):
            if shown and prints(item):
                _show(_CLEAR)
                shown = False
            yield item
            if time.monotonic() >= due:
                due = time.monotonic() + _PERIOD
                width = 30 * done // total
                _show(f"{_CLEAR}[{'#' * width}{' ' * (30 - width)}] {done} of {total} files")
                shown = True
    finally:
        if shown:
            _show(_CLEAR)


def _show(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(text)
    sys.stderr.flush()


def warn(message: str) -> None:
    print(f"perflint: {message}", file=sys.stderr)
