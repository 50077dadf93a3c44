"""The sampler: what it counts, what it costs, and the flame view that is made of it."""

import _thread
import os
import re
import sys
import threading
import time
import xml.etree.ElementTree as ElementTree
from types import CodeType, FrameType

import pytest
from debug_client import busy_function, working
from runtime_helpers import LONG, script

from perflint.runtime import _sampler
from perflint.runtime._flame import flame_boxes, flame_svg
from perflint.runtime._sampler import CPUProfile, Frame, collapsed, hottest, plain, take_profile

A, B, C = (Frame(name, f"/app/{name}.py", 1) for name in "abc")
PROFILE = CPUProfile(1.0, 10, 0, 0, {("one", (A, B)): 6, ("one", (A, C)): 2, ("two", (C, C)): 2})


def test_most_samples_are_the_busy_function_beside_idle_threads() -> None:
    idle = threading.Event()
    with (
        working(busy_function, "busy"),
        working(lambda _: idle.wait(LONG)),
        working(lambda _: idle.wait(LONG)),
    ):
        profile = take_profile(0.5, 200, leave_out=lambda: {threading.main_thread().ident or 0})
        idle.set()
    busy = sum(
        count for (_, stack), count in profile.counts.items() if any(f.name == "busy_function" for f in stack)
    )
    assert busy > profile.total / 2 and profile.idle > 0


@pytest.mark.skipif(sys.platform != "linux", reason="needs the processor time of threads")
def test_sleeping_in_c_is_waiting() -> None:
    def sleeper(stop: threading.Event) -> None:
        while not stop.is_set():
            time.sleep(0.03)

    others = {thread.ident or 0 for thread in threading.enumerate()}.copy
    with working(sleeper):
        profile, waiting = (
            take_profile(0.5, 100, waiting=waits, leave_out=others) for waits in (False, True)
        )
    assert "sleeper" in collapsed(waiting)
    assert profile.total < waiting.total / 3 and profile.idle > profile.total


@pytest.mark.skipif(sys.platform != "linux", reason="needs the processor time of threads")
def test_a_thread_that_threading_does_not_know_is_seen_waiting() -> None:
    reading, writing = os.pipe()
    asleep = threading.Event()

    def foreign_reader() -> None:
        asleep.set()
        os.read(reading, 1)
        os.close(reading)

    _thread.start_new_thread(foreign_reader, ())
    asleep.wait(LONG)
    try:
        profile, waiting = (take_profile(0.3, 100, waiting=waits) for waits in (False, True))
    finally:
        os.write(writing, b"x")
        os.close(writing)
    assert "foreign_reader" in collapsed(waiting)
    assert "foreign_reader" not in collapsed(profile)


def test_deep_recursion_and_many_stacks_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    def deep(left: int, stop: threading.Event) -> None:
        if left:
            deep(left - 1, stop)
        else:
            busy_function(stop)

    monkeypatch.setattr(_sampler, "_MOST_STACKS", 0)
    with working(lambda stop: deep(300, stop)):
        profile = take_profile(0.2, 100)
        assert not profile.counts and profile.lost > 0
        monkeypatch.undo()
        profile = take_profile(0.2, 100)
    assert max(len(stack) for _, stack in profile.counts) == 128


def test_looking_takes_a_small_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look that takes long makes looks rare."""

    def slow(frame: FrameType) -> tuple[CodeType, ...]:
        until = time.thread_time() + 0.01
        while time.thread_time() < until:
            pass
        return (frame.f_code,)

    monkeypatch.setattr(_sampler, "codes_of", slow)
    with working(lambda stop: stop.wait(LONG)):
        profile = take_profile(1.0, 1000, waiting=True)
    assert profile.looks <= 4


def test_collapsed_and_hottest() -> None:
    assert collapsed(PROFILE) == (
        "one;a (/app/a.py:1);b (/app/b.py:1) 6\none;a (/app/a.py:1);c (/app/c.py:1) 2\n"
        "two;c (/app/c.py:1);c (/app/c.py:1) 2\n"
    )
    assert hottest(PROFILE) == [(B, 6, 6), (C, 4, 4), (A, 0, 8)]


def test_names_cannot_break_the_format() -> None:
    assert plain("a;b\nc\x00\u2028d") == "a b c  d"
    assert len(plain("x" * 1000)) == 300


def test_flame_boxes() -> None:
    boxes = flame_boxes(PROFILE)
    assert [(box.number, box.name.partition(" ")[0], box.count) for box in boxes] == [
        (0, "all", 10),
        (1, "one", 8),
        (2, "a", 8),
        (3, "b", 6),
        (4, "c", 2),
        (5, "two", 2),
        (6, "c", 2),
        (7, "c", 2),
    ]
    assert [box.number for box in boxes[4].path()] == [0, 1, 2]


def test_flame_svg_is_well_formed_and_in_proportion() -> None:
    svg = flame_svg(flame_boxes(PROFILE)[0], 10, lambda number: f"?zoom={number}&x=<")
    root = ElementTree.fromstring(svg)
    links = root.findall("a")
    assert [link.get("href") for link in links][:2] == ["?zoom=0&x=<", "?zoom=1&x=<"]
    widths = [float((link.find("svg").get("width") or "")[:-1]) for link in links]  # type: ignore[union-attr]
    assert widths == [100, 80, 80, 60, 20, 20, 20, 20]
    assert all(re.fullmatch(r".+, \d+ samples, [\d.]+%", link.get("aria-label") or "") for link in links)


def test_an_empty_profile() -> None:
    empty = CPUProfile(1.0, 0, 0, 0, {})
    assert collapsed(empty) == "" and len(flame_boxes(empty)) == 1
    ElementTree.fromstring(flame_svg(flame_boxes(empty)[0], 0, str))


OVERHEAD = """
import threading, time
from perflint.runtime._sampler import take_profile

def work():
    begun = time.thread_time()
    for _ in range(40):
        sum(number * number for number in range(20_000))
    return time.thread_time() - begun

def profiled():
    done = threading.Event()
    thread = threading.Thread(target=take_profile, args=(60, 100), kwargs={"stop": done.wait})
    thread.start()
    try:
        return work()
    finally:
        done.set()
        thread.join()

work()
print(min(profiled() / work() for _ in range(7)))  # in turns: a busy neighbour slows both
"""


def test_it_costs_little() -> None:
    """Measured side by side it is a few percent (docs/runtime.md); here only what no sampler may cost."""
    assert float(script(OVERHEAD, timeout=60).stdout) < 1.5
