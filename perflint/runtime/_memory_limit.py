"""How much memory this process takes, and how much it may take, in bytes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_BOUNDLESS = 1 << 60  # cgroup v1 says "no limit" by a number near 2**63
_MOST = 1 << 16  # bytes read of a file of the kernel


def resident() -> int | None:
    """Bytes of the process in memory now; None where there is no /proc that tells."""
    fields = (kernel_text("/proc/self/statm") or "").split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 1 else None


def give_back() -> None:
    """Return what the allocator keeps for later; glibc only, nothing elsewhere."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)


def memory_limit(root: str = "") -> int | None:
    """The least of what bounds this process: its cgroups (v1 and v2), RLIMIT_AS, and the machine's memory.

    None where nothing of that is known. `root` stands before all paths.
    """
    return min([*_cgroup_limits(root), *_address_space(), *_machine(root)], default=None)


def kernel_text(path: str) -> str | None:
    """The text of a small file; None if it cannot be read."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        return os.read(file, _MOST).decode("ascii", "replace")
    except OSError:
        return None
    finally:
        os.close(file)


def _cgroup_limits(root: str) -> Iterator[int]:
    for line in (kernel_text(f"{root}/proc/self/cgroup") or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            folder, name = "/sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            folder, name = "/sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        for group in _and_above(path):
            text = (kernel_text(f"{root}{folder}{group}/{name}") or "").strip()
            if text.isdigit() and 0 < int(text) < _BOUNDLESS:
                yield int(text)


def _and_above(path: str) -> Iterator[str]:
    """A group and those that hold it; a container may see the path of its host, of which only the top is there."""
    parts = [part for part in path.split("/") if part]
    if ".." in parts:
        parts = []
    for length in range(len(parts), -1, -1):
        yield "".join(f"/{part}" for part in parts[:length])


def _address_space() -> Iterator[int]:
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY and soft > 0:
        yield soft


def _machine(root: str) -> Iterator[int]:
    for line in (kernel_text(f"{root}/proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemTotal" and rest.split()[:1] and rest.split()[0].isdigit():
            yield int(rest.split()[0]) * 1024
