"""Puts a changed file in the place of the old one, or a new one where none was, whole or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


class WriteError(Exception):
    """The file was left as it was; the message is one plain line that names it."""


def replace(path: Path, old: bytes, new: bytes) -> None:
    """Make `new` the content of `path`, which must still hold `old`.

    The new content is written beside the real file (a symlink is followed), given the old mode
    and, where allowed, the old owner, synced, and moved over it in one step. Whatever stops that,
    be it a full disk or Ctrl-C, leaves the old file and no other. Other hard links to the file
    keep the old content. Raise WriteError.
    """
    real = Path(os.path.realpath(path))
    try:
        status = real.stat()
        if not stat.S_ISREG(status.st_mode):
            raise WriteError(f"{path}: not a regular file; left as it was")
        if not os.access(real, os.W_OK):
            raise WriteError(f"{path}: read-only; make it writable first")
        with _beside(real, new, status) as temporary:
            if real.read_bytes() != old:
                raise WriteError(f"{path}: changed on disk since it was read; run perflint again")
            temporary.replace(real)
    except OSError as error:
        raise WriteError(f"{path}: not written ({error.strerror or error}); left as it was") from None


def create(path: Path, new: bytes) -> None:
    """Write a file that is not there yet, as `replace` does. Raise WriteError."""
    real = Path(os.path.realpath(path))
    try:
        with _beside(real, new, None) as temporary:
            if real.exists():
                raise WriteError(f"{path}: made by others meanwhile; run perflint again")
            temporary.replace(real)
    except OSError as error:
        raise WriteError(f"{path}: not written ({error.strerror or error})") from None


def usual_mode() -> int:
    """The mode that the user's umask gives to a new file."""
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


@contextmanager
def _beside(real: Path, content: bytes, status: os.stat_result | None) -> Iterator[Path]:
    """A synced file with that content in the same directory; gone afterwards, unless it was moved away."""
    handle, name = tempfile.mkstemp(prefix=".perflint-", dir=real.parent)
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            if status:
                _dress(temporary, status)
            else:
                temporary.chmod(usual_mode())
            os.fsync(handle)
        yield temporary
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _dress(temporary: Path, status: os.stat_result) -> None:
    """Give the file the old owner, where allowed, and then the old mode, which a change of owner may cut."""
    own = temporary.stat()
    if (own.st_uid, own.st_gid) != (status.st_uid, status.st_gid) and hasattr(os, "chown"):
        with suppress(PermissionError):
            os.chown(temporary, status.st_uid, status.st_gid)
    temporary.chmod(stat.S_IMODE(status.st_mode))
