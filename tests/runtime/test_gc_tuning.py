"""`tune_for_throughput`: what it sets and puts back, and the guard that keeps memory within the limit."""

import gc
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from runtime_helpers import LONG, script

from perflint.runtime import _gc_tuning, tune_for_throughput
from perflint.runtime._gc_tuning import _Guard, _Settings, default_thresholds
from perflint.runtime._memory_limit import memory_limit, resident

MIB = 1 << 20
needs_proc = pytest.mark.skipif(resident() is None, reason="needs /proc/self/statm")
FREEZES = "free-threading" not in sys.version


@pytest.fixture(scope="module", autouse=True)
def nothing_is_frozen(frozen: None) -> None:
    gc.unfreeze()


@pytest.fixture(autouse=True)
def exact() -> Iterator[None]:
    before = gc.get_threshold(), gc.isenabled(), gc.get_freeze_count() > _gc_tuning._FROZEN_AT_START
    yield
    assert before == (
        gc.get_threshold(),
        gc.isenabled(),
        gc.get_freeze_count() > _gc_tuning._FROZEN_AT_START,
    )


@needs_proc
class TestTuning:
    def test_set_and_restored(self) -> None:
        before, threads = gc.get_threshold(), set(threading.enumerate())
        with tune_for_throughput() as tuning:
            assert gc.get_threshold() == (50_000, *before[1:])
            assert not FREEZES or gc.get_freeze_count() > 1000
            assert tuning.limit and tuning.limit <= memory_limit()  # type: ignore[operator]
            assert len(set(threading.enumerate()) - threads) == 1
        assert gc.get_threshold() == before and gc.get_freeze_count() <= _gc_tuning._FROZEN_AT_START
        assert set(threading.enumerate()) == threads

    def test_nested(self) -> None:
        before = gc.get_threshold()
        with tune_for_throughput() as outer:
            with tune_for_throughput() as inner:
                assert inner is outer
            assert gc.get_threshold()[0] == 50_000
        assert gc.get_threshold() == before
        outer.restore()  # once more changes nothing
        again = tune_for_throughput(gen0=60_000)
        assert again is not outer and gc.get_threshold()[0] == 60_000
        again.restore()

    def test_other_arguments_while_in_force(self, caplog: pytest.LogCaptureFixture) -> None:
        with tune_for_throughput(gen0=60_000) as outer, caplog.at_level(logging.WARNING, "perflint.runtime"):
            with tune_for_throughput(gen0=70_000) as inner:
                assert inner is outer and gc.get_threshold()[0] == 60_000
            assert "in force with other arguments" in caplog.text

    @pytest.mark.parametrize("before", [(90_000, 7, 8), (700, 3, 4), (0, 10, 10)])
    def test_never_lowered(self, before: tuple[int, int, int]) -> None:
        usual = gc.get_threshold()
        gc.set_threshold(*before)
        before = gc.get_threshold()
        try:
            with tune_for_throughput(freeze=False):
                assert gc.get_threshold() == (max(before[0], 50_000) if before[0] else 0, *before[1:])
            assert gc.get_threshold() == before
        finally:
            gc.set_threshold(*usual)

    def test_thresholds_of_others_stay(self) -> None:
        usual = gc.get_threshold()
        try:
            with tune_for_throughput(freeze=False):
                gc.set_threshold(1234, 5, 6)
            assert gc.get_threshold()[:2] == (1234, 5)
        finally:
            gc.set_threshold(*usual)

    @pytest.mark.skipif(not FREEZES, reason="freezes nothing")
    def test_what_others_froze_stays_frozen(self) -> None:
        gc.freeze()
        frozen = gc.get_freeze_count()
        try:
            with tune_for_throughput():
                pass
            assert gc.get_freeze_count() > frozen * 0.9
            gc.unfreeze()
            with tune_for_throughput():
                kept = [[] for _ in range(10_000)]  # type: ignore[var-annotated]
                gc.freeze()
            assert gc.get_freeze_count() >= len(kept)
        finally:
            gc.unfreeze()

    def test_without_freeze(self) -> None:
        with tune_for_throughput(freeze=False):
            assert gc.get_freeze_count() <= _gc_tuning._FROZEN_AT_START

    @pytest.mark.parametrize(
        ("arguments", "error"),
        [
            ({"gen0": 0}, ValueError),
            ({"gen0": 1.5}, ValueError),
            ({"soft_limit": 0}, ValueError),
            ({"soft_limit": "1G"}, ValueError),
            ({"fraction": 0}, ValueError),
            ({"fraction": 1.1}, ValueError),
            ({"fraction": "x"}, TypeError),
            ({"interval": 0}, ValueError),
            ({"interval": -1}, ValueError),
            ({"on_pressure": 3}, TypeError),
        ],
    )
    def test_bad_arguments(self, arguments: dict[str, Any], error: type[Exception]) -> None:
        with pytest.raises(error):
            tune_for_throughput(**arguments)

    def test_no_guard_where_memory_is_not_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_gc_tuning, "resident", lambda: None)
        with pytest.warns(RuntimeWarning, match="cannot see the memory"):
            tuning = tune_for_throughput(freeze=False)
        with tuning:
            assert tuning.limit is None

    def test_free_threading_freezes_nothing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "version", "3.14.1 free-threading build")
        with pytest.warns(RuntimeWarning, match="free-threaded"):
            tuning = tune_for_throughput()
        with tuning:
            assert gc.get_freeze_count() <= _gc_tuning._FROZEN_AT_START


@pytest.mark.parametrize(
    ("version", "thresholds"),
    [
        ((3, 10, 13), (700, 10, 10)),
        ((3, 12, 99), (700, 10, 10)),
        ((3, 13, 0), (2000, 10, 10)),
        ((3, 14, 0), (2000, 10, 0)),
        ((3, 14, 4), (2000, 10, 0)),
        ((3, 14, 5), (2000, 10, 10)),
        ((3, 15, 0), (2000, 10, 10)),
    ],
)
def test_versions(version: tuple[int, ...], thresholds: tuple[int, int, int]) -> None:
    assert default_thresholds(version) == thresholds
    if version[:2] == sys.version_info[:2] != (3, 14):
        # In a process of its own: libraries that other tests load may have set others here.
        fresh = [sys.executable, "-c", "import gc; print(gc.get_threshold())"]
        assert subprocess.check_output(fresh, text=True) == f"{thresholds}\n"


class World:
    """Memory, a clock and a collector to order."""

    def __init__(self, size: int, seconds: float = 0.0, frees: int = 0, kept: int = 0) -> None:
        self.size, self.seconds, self.frees, self.kept = size, seconds, frees, kept
        self.now = 1000.0
        self.collections: list[tuple[float, float]] = []
        self.switched: list[bool] = []

    def guard(self, **changes: Any) -> _Guard:
        settings = _Settings(50_000, True, "auto", 0.8, 1.0, None)._replace(**changes)
        return _Guard(
            1000 * MIB,
            settings,
            self.switched.append,
            lambda: self.size,
            self.collect,
            self.trim,
            lambda: self.now,
        )

    def trim(self) -> None:
        self.size -= self.kept

    def collect(self) -> None:
        begun = self.now
        self.now += self.seconds
        self.size -= self.frees
        self.collections.append((begun, self.now))


class TestGuard:
    def test_quiet_below_the_mark(self) -> None:
        world = World(100 * MIB)
        assert world.guard().look() == pytest.approx(700 / 2048, rel=0.01)  # what 2 GiB/s need to get there
        world.size = 799 * MIB
        assert world.guard().look() == 0.005
        world.size = 0
        assert world.guard(interval=0.1).look() == 0.1
        assert not world.switched and not world.collections

    def test_above_and_below_again(self) -> None:
        world = World(801 * MIB, frees=50 * MIB)
        guard = world.guard()
        assert guard.look() == 1.0
        assert world.switched == [True] and len(world.collections) == 1
        guard.look()
        assert world.switched == [True]  # 751 is not yet below 0.9 of 800
        world.size = 719 * MIB
        guard.look()
        assert world.switched == [True, False]

    def test_collections_take_a_tenth_of_the_time_at_most(self) -> None:
        world = World(900 * MIB, seconds=0.5)
        guard = world.guard(on_pressure=lambda *_: None)
        for _ in range(1000):
            guard.look()
            world.now += 0.1
        spent = sum(end - begun for begun, end in world.collections)
        assert len(world.collections) > 10
        assert spent <= 0.1 * (world.now - 1000.0) + 0.5
        pauses = [
            after[0] - before[1]
            for before, after in zip(world.collections, world.collections[1:], strict=False)
        ]
        assert min(pauses) >= 9 * 0.5 - 1e-6

    def test_the_hook_hears_what_a_collection_could_not_free(self) -> None:
        told: list[tuple[int, int]] = []
        world = World(900 * MIB, frees=40 * MIB)
        world.guard(on_pressure=lambda *sizes: told.append(sizes)).look()
        assert told == [(860 * MIB, 1000 * MIB)]
        world = World(900 * MIB, frees=200 * MIB)
        world.guard(on_pressure=lambda *sizes: told.append(sizes)).look()
        assert len(told) == 1

    def test_what_the_allocator_keeps_is_given_back(self) -> None:
        world = World(900 * MIB, kept=200 * MIB)
        guard = world.guard(on_pressure=lambda *_: pytest.fail("there is no pressure"))
        guard.look()
        guard.look()
        assert world.switched == [True, False]

    def test_a_hook_that_fails_is_reported(self, caplog: pytest.LogCaptureFixture) -> None:
        world = World(900 * MIB)
        with caplog.at_level(logging.ERROR, "perflint.runtime"):
            world.guard(on_pressure=lambda *_: 1 / 0).look()
        assert "on_pressure failed" in caplog.text

    def test_without_a_hook_one_record_a_minute(self, caplog: pytest.LogCaptureFixture) -> None:
        world = World(900 * MIB)
        guard = world.guard()
        with caplog.at_level(logging.WARNING, "perflint.runtime"):
            for _ in range(119):
                guard.look()
                world.now += 1.0
        assert [record.getMessage() for record in caplog.records] == [
            "memory stays at 900 of 1000 MiB after a collection: it is no garbage"
        ] * 2

    @needs_proc
    def test_default_thresholds_under_pressure(self) -> None:
        pressed = threading.Event()
        before = gc.get_threshold()
        with tune_for_throughput(freeze=False, soft_limit=1, on_pressure=lambda *_: pressed.set()):
            assert pressed.wait(LONG)
            assert gc.get_threshold() == before
        assert gc.get_threshold() == before

    @needs_proc
    def test_restored_by_the_hook(self) -> None:
        done = threading.Event()
        before, threads = gc.get_threshold(), set(threading.enumerate())
        held: list[Any] = []
        given = threading.Event()

        def hook(*_: int) -> None:
            given.wait(LONG)
            held[0].restore()
            done.set()

        held.append(tune_for_throughput(freeze=False, soft_limit=1, on_pressure=hook))
        given.set()
        assert done.wait(LONG) and gc.get_threshold() == before
        for thread in set(threading.enumerate()) - threads:
            thread.join(LONG)


class TestLimit:
    def put(self, root: Path, files: dict[str, str]) -> int | None:
        for name, text in {"proc/meminfo": "MemFree: 1 kB\nMemTotal: 8000 kB\n", **files}.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return memory_limit(str(root))

    @pytest.mark.parametrize(
        ("files", "limit"),
        [
            ({}, 8_192_000),
            ({"proc/self/cgroup": "0::/app\n", "sys/fs/cgroup/app/memory.max": "5000\n"}, 5000),
            ({"proc/self/cgroup": "0::/app\n", "sys/fs/cgroup/app/memory.max": "max\n"}, 8_192_000),
            ({"proc/self/cgroup": "0::/app\n"}, 8_192_000),
            ({"proc/self/cgroup": "0::/a/b/c\n", "sys/fs/cgroup/a/memory.max": "4000\n"}, 4000),
            ({"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "3000\n"}, 3000),
            ({"proc/self/cgroup": "0::/../../x\n", "sys/fs/cgroup/memory.max": "3000\n"}, 3000),
            (
                {
                    "proc/self/cgroup": "9:cpu,cpuacct:/x\n5:memory:/x\n",
                    "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "2000\n",
                },
                2000,
            ),
            (
                {
                    "proc/self/cgroup": "5:memory:/x\n",
                    "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9223372036854771712\n",
                },
                8_192_000,
            ),
            (
                {
                    "proc/self/cgroup": "5:memory:/docker/x\n",
                    "sys/fs/cgroup/memory/memory.limit_in_bytes": "7",
                },
                7,
            ),
            ({"proc/self/cgroup": "garbage\n:::\n", "proc/meminfo": "MemTotal: many\n"}, None),
        ],
    )
    def test_sources(self, tmp_path: Path, files: dict[str, str], limit: int | None) -> None:
        assert self.put(tmp_path, files) == limit

    def test_address_space(self) -> None:
        pytest.importorskip("resource")
        ran = script(
            "import resource\nresource.setrlimit(resource.RLIMIT_AS, (1 << 30, resource.RLIM_INFINITY))\n"
            "from perflint.runtime._memory_limit import memory_limit\nprint(memory_limit())"
        )
        assert ran.stdout == f"{1 << 30}\n"


FORK = """
import gc, os, threading, warnings
from perflint.runtime import tune_for_throughput

before = gc.get_threshold()
with tune_for_throughput() as tuning:
    pid = os.fork()  # with no thread beside it: no warning from Python 3.12
    assert gc.get_threshold()[0] == 50_000
    assert [thread.name for thread in threading.enumerate()] == ["MainThread", "perflint-gc-guard"]
    if not pid:
        tuning.restore()
        assert gc.get_threshold() == before and threading.active_count() == 1
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
assert gc.get_threshold() == before and threading.active_count() == 1
"""


@needs_proc
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_a_guard_of_its_own() -> None:
    ran = script(FORK)
    assert (ran.returncode, ran.stderr) == (0, "")


BUFFERS = """
import gc, sys
from pathlib import Path
from perflint.runtime import tune_for_throughput

class Request:  # a cycle that owns a buffer: freed by the collector only
    def __init__(self):
        self.me, self.body = self, bytearray(b"x") * 65_536

if sys.argv[1:] == ["guard"]:
    tune_for_throughput(soft_limit=300 << 20)
else:
    gc.collect(), gc.freeze(), gc.set_threshold(50_000, *gc.get_threshold()[1:])
for _ in range(12_000):
    Request()
print(int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024)
"""


@needs_proc
def test_cycles_that_own_buffers_stay_within_the_limit() -> None:
    peaks = [
        int(script(f"import sys; sys.argv = ['', {form!r}]\n{BUFFERS}").stdout) for form in ("guard", "none")
    ]
    assert peaks[0] < 1.2 * (300 << 20) and peaks[1] > 2 * (300 << 20), peaks
