"""Variants of `WorkerPool` with one safeguard removed: `python broken_pools.py VARIANT CHECK`.

The exit status is 0 if the check passes; a check that is worth something fails, or hangs.
"""

import faulthandler
import importlib
import sys
from pathlib import Path
from types import ModuleType

import pool_checks

import perflint.runtime._state as original

EDITS: dict[str, list[tuple[str, str]]] = {
    "none": [],
    "no-try-in-worker": [
        (
            "    except BaseException as exc:\n        with",
            "    except ZeroDivisionError as exc:\n        with",
        )
    ],
    "closed-outside-lock": [
        (
            "        with self.lock:\n            accepted = self._admit(task)",
            "        if self.closed:\n            return False\n        with self.lock:\n            accepted = self._admit(task)",
        ),
        ("return not self.closed and len(self.tasks)", "return len(self.tasks)"),
        ("if self.closed or self.parks != mark or", "if self.parks != mark or"),
    ],
    "queue-length-admission": [
        ("len(self.tasks) + self.active < self.capacity", "len(self.tasks) < self.capacity - self.workers"),
    ],
    "plain-lock": [("        self.lock = threading.RLock()", "        self.lock = threading.Lock()")],
    "start-before-register": [
        ("            self.threads.add(thread)  # before", "            thread.start()  # before"),
        ("                thread.start()\n", "                self.threads.add(thread)\n"),
    ],
    "no-second-look": [
        (
            "if self.closed or self.parks != mark or len(self.tasks) + self.active > self.capacity:",
            "if False:",
        ),
    ],
    "non-daemon-without-atexit": [
        ("name=name, daemon=True", "name=name, daemon=False"),
        ("        run_at_exit(self)\n", ""),
    ],
}


def broken(variant: str) -> type:
    """The `WorkerPool` of a copy of the runtime's state module with the variant's edits."""
    text = Path(original.__file__).read_text()
    for old, new in EDITS[variant]:
        assert text.count(old) >= 1, f"the source no longer holds {old!r}"
        text = text.replace(old, new)
    module = ModuleType(original.__name__)
    module.__dict__.update(__file__=original.__file__, __package__="perflint.runtime")
    sys.modules[original.__name__] = module
    exec(compile(text, original.__file__, "exec"), module.__dict__)
    sys.modules.pop("perflint.runtime._threads")
    pool: type = importlib.import_module("perflint.runtime._threads").WorkerPool
    pool.__module__, pool.__name__ = __name__ if __name__ != "__main__" else "broken_pools", f"Pool_{variant}"
    return pool


def __getattr__(name: str) -> type:
    """`from broken_pools import Pool_x as Pool`, for checks that need a fresh interpreter."""
    if name.startswith("Pool_"):
        return broken(name.removeprefix("Pool_").replace("_", "-"))
    raise AttributeError(name)


if __name__ == "__main__":
    faulthandler.dump_traceback_later(4 if sys.argv[2] == "reentrance" else 40, exit=True)  # hangs: found
    Pool = broken(sys.argv[1])
    Pool.__name__ = Pool.__name__.replace("-", "_")
    getattr(pool_checks, sys.argv[2])(Pool)
    print("passed")
