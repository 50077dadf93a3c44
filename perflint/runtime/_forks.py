"""What must be made anew in a forked child: locks that a vanished thread may hold."""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Forkable(Protocol):
    def after_fork(self) -> None: ...


_forkables: dict[int, weakref.ref[Forkable]] = {}
_fork_hooked = False


def survive_fork(thing: Forkable) -> None:
    """Call `thing.after_fork()` in every forked child for as long as `thing` lives."""
    global _fork_hooked
    key = id(thing)

    def forget(_: object) -> None:
        _forkables.pop(key, None)

    _forkables[key] = weakref.ref(thing, forget)
    if not _fork_hooked and hasattr(os, "register_at_fork"):
        _fork_hooked = True
        os.register_at_fork(after_in_child=_after_fork)


def _after_fork() -> None:
    for reference in list(_forkables.values()):
        thing = reference()
        if thing is not None:
            thing.after_fork()
