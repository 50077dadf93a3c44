"""Which objects the rules about waiting see behind collections and fields, and which flags others set."""

from __future__ import annotations

import textwrap

import libcst as cst
import pytest
from regions import call, context, loop

from perflint.analysis.concurrency.coroutines import alone
from perflint.analysis.concurrency.elements import iterated, receiver
from perflint.analysis.concurrency.flags import set_elsewhere
from perflint.analysis.concurrency.guarded import guarded
from perflint.analysis.concurrency.readiness import brief

HEAD = """
import asyncio, threading
from threading import Thread

class Job:
    def __init__(self, done: threading.Event):
        self.done = done
"""
THREAD, EVENT = "threading.Thread", "threading.Event"
RECEIVERS = {
    "def f(xs: list[Thread]):\n    for x in xs: x.go()": THREAD,
    "def f(xs: 'tuple[Thread, ...]'):\n    for x in xs: x.go()": THREAD,
    "def f(xs: list['Thread']):\n    for x in xs: x.go()": None,
    "def f():\n    for x in [Thread(), Thread()]: x.go()": THREAD,
    "def f():\n    for x in [Thread(), threading.Event()]: x.go()": None,
    "def f(n):\n    xs = [Thread() for _ in n]\n    for x in list(xs): x.go()": THREAD,
    "def f(n):\n    xs = {Thread(): 1 for _ in n}\n    return xs": None,
    "def f(n):\n    xs = []\n    for _ in n: xs.append(Thread())\n    [x.go() for x in xs]": THREAD,
    "def f(n):\n    xs = []\n    xs.append(n)\n    [x.go() for x in xs]": None,
    "def f(xs: list[Thread], x):\n    x = 1\n    for x in xs: x.go()": None,
    "def f(x: Job):\n    x.done.go()": EVENT,
    "def f(e):\n    x = Job(e)\n    x.done.go()": EVENT,
    "def f(x: Other):\n    x.done.go()": None,
    "class C:\n    xs: set[Thread]\n    def f(self):\n        for x in self.xs: x.go()": THREAD,
    "class C:\n    def g(self):\n        self.xs = [Thread() for _ in y]\n"
    "    def f(self):\n        for x in self.xs: x.go()": THREAD,
    "class C:\n    def g(self):\n        self.xs = made()\n    def f(self):\n        for x in self.xs: x.go()": None,
}


@pytest.mark.parametrize("code", [code for code in RECEIVERS if "go()" in code])
def test_items_and_fields(code: str) -> None:
    found = context(HEAD + code, "f")
    node = cst.ensure_type(call(found, ".go()").func, cst.Attribute).value
    made = receiver(found.objects, node)
    assert (made.type if made is not None else None) == RECEIVERS[code]


def test_what_a_name_runs_over() -> None:
    found = context("def f(a, b):\n    for x in a: pass\n    for x in b: x.go()", "f")
    node = cst.ensure_type(cst.ensure_type(call(found, "x.go()").func, cst.Attribute).value, cst.Name)
    assert [found.tree.code(over) for over in iterated(found.objects, node)] == ["a", "b"]


FLAGS = {
    "self.x = False": ("self.x = True", True),
    "self.x = None": ("self.x = make()", True),
    "self.x = 0 or None": ("self.x = True", False),
    "self.x = True": ("self.x = True", False),
    "self.x = given": ("self.x = True", False),
    "self.x = None ": ("self.x = given", False),
    "self.x = None  ": ("pass", False),
    "self.x = None   ": ("for self.x in given: pass", False),
}


@pytest.mark.parametrize("first", FLAGS)
def test_flags_that_others_set(first: str) -> None:
    later, answer = FLAGS[first]
    code = (
        f"class C:\n    def __init__(self, given):\n        {first}\n    def g(self, given):\n        {later}\n"
        "    def f(self):\n        while not self.x: pass"
    )
    found = context(code, "f")
    node = loop(found)
    flag = cst.ensure_type(cst.ensure_type(node, cst.While).test, cst.UnaryOperation).expression
    assert set_elsewhere(found, flag, True, node) is answer


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ("lock.acquire()", False),
        ("lock.acquire()\nlock.release()", True),
        ("lock = threading.Lock()\nlock.acquire()", True),
        ("lock.acquire()\nother.release()", False),
    ],
)
def test_locks_that_are_let_go(body: str, answer: bool) -> None:
    found = context("async def f(lock, other):\n" + textwrap.indent(body, "    "), "f")
    node = call(found, "lock.acquire()")
    assert brief(found, cst.ensure_type(node.func, cst.Attribute).value, node) is answer


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("asyncio.run(f())", True),
        ("asyncio.run(f())\nasync def g(): asyncio.create_task(f())", False),
        ("f()", False),
    ],
)
def test_who_has_the_loop_alone(code: str, answer: bool) -> None:
    assert alone(context("import asyncio\nasync def f(): pass\n" + code).objects) is answer


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ("await self.safe()", True),
        ("await asyncio.sleep(1)\nawait self.safe()", True),
        ("async with self.lock:\n    await self.safe()", True),
        ("async with self.open() as x:\n    await self.safe()", False),
        ("await self.safe(make())", False),
        ("await self.unsafe()", False),
        ("await self.f()", False),
    ],
)
def test_guards_that_stand_in_what_is_awaited(body: str, answer: bool) -> None:
    code = (
        "class C:\n    async def f(self):\n" + textwrap.indent(body, " " * 8) + "\n"
        "    async def safe(self):\n        try:\n            await g()\n        except Exception:\n            log()\n"
        "    async def unsafe(self):\n        await g()\n"
    )
    outline = context(code, "f").facts.outline
    [function] = outline.functions["f"]
    assert guarded(function, outline) is answer
