"""What the rules about the garbage collector warn of, shown by programs that do it."""

import time
from pathlib import Path

import pytest
from programs import fixed, run

from perflint import testing
from perflint.analysis.registry import find

WITHOUT_GC = """
import gc


def load(path, read):
    gc.disable()
    rows = read(path)
    gc.enable()
    return rows


class Row:
    def __init__(self):
        self.me = self  # a cycle: only the collector frees it


def broken(path):
    raise OSError(path)


def rows_alive():
    return sum(isinstance(item, Row) for item in gc.get_objects())


try:
    load("rows.csv", broken)
except OSError:
    pass
for _ in range(100_000):
    Row()
print(gc.isenabled(), rows_alive() == 100_000)
"""

ON_AND_ON = """
import gc


def start(count):
    {switch}
    for _ in range(count):
        row = []
        row.append(row)


def alive():
    return sum(isinstance(item, list) for item in gc.get_objects())


before = alive()
start(200_000)
print(alive() - before > 150_000)
"""

FREEZES = """
import gc


class Row:
    def __init__(self):
        self.me = self


def handle(gc):
    {handle}


def rows_alive():
    gc.unfreeze()
    return sum(isinstance(item, Row) for item in gc.get_objects())


gc.collect()
gc.freeze()
for _ in range(100):
    handle(gc)
for _ in range(3):
    gc.collect()
print(rows_alive())
"""

BALLAST = """
import gc

{ballast}


def collections():
    return sum(item["collections"] for item in gc.get_stats())


before = collections()
kept = [[number] for number in range(300_000)]
print(collections() - before)
"""


def test_an_exception_leaves_the_collector_off_and_the_fix_does_not() -> None:
    assert run(WITHOUT_GC).out == "False True\n"
    ended = run(fixed("PRF802", WITHOUT_GC))
    assert (ended.code, ended.out, ended.err) == (0, "True False\n", "")


@pytest.mark.parametrize("switch", ["gc.disable()", "gc.set_threshold(0)"])
def test_garbage_grows_while_the_collector_is_off(switch: str) -> None:
    assert run(ON_AND_ON.replace("{switch}", switch)).out == "True\n"
    assert run(ON_AND_ON.replace("{switch}", "gc.set_threshold(50_000)")).out == "False\n"


def test_freezing_in_each_request_keeps_what_it_made_for_ever() -> None:
    again = run(FREEZES.replace("{handle}", "Row(); gc.freeze()"))
    once = run(FREEZES.replace("{handle}", "Row()"))
    assert (again.out, once.out) == ("100\n", "0\n")


def test_freezing_without_a_collection_keeps_the_garbage() -> None:
    program = """
    import gc


    class Row:
        def __init__(self):
            self.me = self


    gc.disable()
    for _ in range(100):
        Row()
    getattr(gc, "en" + "able")()
    {start}
    gc.freeze()
    gc.collect()
    gc.unfreeze()
    print(sum(isinstance(item, Row) for item in gc.get_objects()))
    """
    assert run(program.replace("{start}", "pass")).out == "100\n"
    assert run(program.replace("{start}", "gc.collect()")).out == "0\n"


def test_a_ballast_changes_no_collection() -> None:
    plain, ballast = (
        run(BALLAST.replace("{ballast}", text)).out for text in ("", "_ballast = bytearray(100 << 20)")
    )
    assert plain == ballast
    assert int(plain) > 0


def test_collecting_in_each_turn_costs_more_than_the_work() -> None:
    rule = find("PRF801")
    assert rule is not None
    spent = []
    for title in ("Bad", "Good"):
        space: dict[str, object] = {"heap": [[number] for number in range(100_000)]}
        exec(testing.example(rule.doc, title), space)
        started = time.process_time()
        exec("handle_all(range(30), str)", space)
        spent.append(time.process_time() - started)
    assert spent[0] > 3 * spent[1]


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the guard reads /proc")
def test_the_runtime_fix_brings_a_guard_for_memory() -> None:
    program = """
    import gc
    import threading

    gc.set_threshold(50_000, 10, 10)
    print(threading.active_count())
    """
    assert run(program).out == "1\n"
    ended = run(fixed("PRF803", program, runtime_fixes=True, pedantic=True))
    assert (ended.code, ended.out, ended.err) == (0, "2\n", "")
