"""What kind of file a path names."""

from __future__ import annotations

from pathlib import PurePath


def is_test_file(path: str) -> bool:
    """Whether the path is that of a test: `test_*.py`, `*_test.py`, `conftest.py`, or directly in `tests/`.

    Folders further up say nothing: the project itself may lie below one of that name.
    """
    place = PurePath(path)
    named = place.name.startswith("test_") or place.stem.endswith("_test") or place.name == "conftest.py"
    return named or place.parent.name in ("test", "tests")


def is_script(path: str) -> bool:
    """Whether the path is that of a program run by hand: directly in `scripts/`, `tools/`, `examples/` or the like."""
    return PurePath(path).parent.name in ("scripts", "tools", "examples", "samples", "benchmarks", "bench")


def is_migration(path: str) -> bool:
    """Whether the path is that of a step of a database's schema, which runs once: in `migrations/` or `versions/`."""
    return not {"migrations", "versions"}.isdisjoint(PurePath(path).parts[-3:-1])
