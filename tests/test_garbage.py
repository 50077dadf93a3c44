"""What the rules about the garbage collector rest on: uses of `gc`, programs that end, numbers, throttles."""

import ast

import pytest
from regions import call, context

from perflint.analysis.exposure.values import call_at
from perflint.analysis.garbage import (
    asked_for,
    forks,
    in_finally,
    long_turn,
    measures,
    measuring,
    microcontroller,
    number,
    reads_gauges,
    served,
    short_program,
    throttled,
    uses,
    waits,
    watched,
)

FLASK = "import flask\napp = flask.Flask(__name__)\n"


def test_uses_are_found_by_any_name_called_or_handed_on() -> None:
    code = (
        "import gc, atexit\nfrom gc import disable as off\natexit.register(gc.enable)\ndef f():\n    off()\n"
    )
    found = [
        (item.name, item.call is not None, item.function is not None)
        for item in uses(context(code).facts.outline)
    ]
    assert sorted(found) == [("disable", True, True), ("enable", False, False)]


NUMBERS = [
    ("100 << 20", 104_857_600),
    ("MB * 64", 67_108_864),
    ("10**7 - 1", 9_999_999),
    ("SIZE", 67_108_864),
]
NO_NUMBERS = ["size", "f()", "1.5", "True", "1 / 2", "10**99", "1 << 99", "NAMED"]


@pytest.mark.parametrize(("text", "expected"), [*NUMBERS, *((text, None) for text in NO_NUMBERS)])
def test_numbers(text: str, expected: int | None) -> None:
    code = f"MB = 1 << 20\nSIZE = MB * 64\nNAMED = f()\ndef g(size):\n    run({text})"
    found = context(code)
    known = call_at(found, call(found, "run("))
    assert known is not None
    assert number(found.facts.outline, known.node.args[0], known.home) == expected


THROTTLES = [
    ("for x in xs:\n    mark()", False),
    ("for i in xs:\n    if i % 10 == 0:\n        mark()", True),
    ("for i in xs:\n    if i % 10:\n        continue\n    mark()", True),
    ("for x in xs:\n    if not x:\n        continue\n    mark()", False),
    ("for x in xs:\n    if x is not None and hasattr(x, 'y'):\n        mark()", False),
    ("for x in xs:\n    if x is None:\n        pass\n    else:\n        mark()", True),
    ("for x in xs:\n    if flag:\n        mark()", True),
    ("for x in xs:\n    if not x.done:\n        x.do()\n        mark()", False),
    ("for x in xs:\n    if x == 0:\n        x.do()\n        mark()", True),
    ("for x in xs:\n    if rss() > 10:\n        x.do()\n        mark()", True),
    ("for x in xs:\n    try:\n        pass\n    except E:\n        mark()", True),
    ("for x in xs:\n    try:\n        pass\n    finally:\n        mark()", False),
    ("for x in xs:\n    x and mark()", True),
    ("for x in xs:\n    with x:\n        mark()", False),
]


@pytest.mark.parametrize(("code", "expected"), THROTTLES)
def test_throttles(code: str, expected: bool) -> None:
    found = context(code)
    node = call(found, "mark(")
    loop = found.flow.loop(node)
    assert loop is not None
    assert throttled(found, node, loop) is expected


SERVED = [
    (f"{FLASK}@app.route('/x')\ndef f():\n    mark()", "f"),
    (f"{FLASK}@app.after_request\ndef f(response):\n    mark()", "f"),
    (f"{FLASK}def f():\n    mark()\napp.add_url_rule('/x', view_func=f)", "f"),
    ("class AMiddleware:\n    def __call__(self, request):\n        mark()", "__call__"),
    ("async def dispatch(self, request, call_next):\n    mark()", "dispatch"),
    (f"{FLASK}@app.route('/x')\ndef f():\n    return lambda: mark()", None),
    (f"{FLASK}def f():\n    mark()", None),
    ("mark()", None),
]


@pytest.mark.parametrize(("code", "expected"), SERVED)
def test_served(code: str, expected: str | None) -> None:
    found = context(code)
    function = served(found, call(found, "mark("))
    assert (function.name if function is not None else None) == expected


PROGRAMS = [
    ("import argparse\nmark()", True),
    ("if __name__ == '__main__':\n    mark()", True),
    ("for x in range(3):\n    mark()", True),
    ("mark(input())", True),
    ("import argparse, uvicorn\nmark()", False),
    ("import http.server\nif __name__ == '__main__':\n    mark()", False),
    ("app = make()\nif __name__ == '__main__':\n    mark()", False),
    ("mark()", False),
]


@pytest.mark.parametrize(("code", "expected"), PROGRAMS)
def test_programs_that_end(code: str, expected: bool) -> None:
    assert short_program(context(code).facts.outline) is expected


def test_kinds_of_files() -> None:
    assert measuring(context("import timeit").facts.outline)
    assert not measuring(context("import time").facts.outline)
    assert microcontroller(context("import machine").facts.outline)
    assert watched(context("import resource\nresource.setrlimit(1, (2, 2))").facts.outline)
    assert forks(context("import os\nos.fork()").facts.outline)
    assert forks(context("Process(target=f)").facts.outline)
    assert not forks(context("mark()").facts.outline)


GUARDS = [
    ("if DEBUG:\n    mark()", True),
    ("if options.disable_gc:\n    mark()", True),
    ("if TESTS_RUN:\n    mark()", True),
    ("if gc.isenabled():\n    mark()", False),
    ("if ready:\n    mark()", False),
]


@pytest.mark.parametrize(("code", "expected"), GUARDS)
def test_asked_for(code: str, expected: bool) -> None:
    outline = context(code).facts.outline
    node = next(item for item, _ in outline.calls if ast.unparse(item) == "mark()")
    assert asked_for(outline, node) is expected


def test_in_finally_and_measures() -> None:
    outline = context(
        "def f():\n    try:\n        a()\n    finally:\n        b()\n        perf_counter()"
    ).facts.outline
    calls = {ast.unparse(item): item for item, _ in outline.calls}
    assert in_finally(outline, calls["b()"])
    assert not in_finally(outline, calls["a()"])
    assert measures(outline.functions["f"][0])
    assert reads_gauges(context("time.perf_counter()").tree.root)
    assert not reads_gauges(context("time.time()").tree.root)


TURNS = [
    ("for x in xs:\n    mark()", False, False),
    ("for x in pages:\n    mark()", True, False),
    ("for x in xs:\n    for y in x:\n        pass\n    mark()", True, False),
    ("for x in xs:\n    for y in x:\n        mark()", False, False),
    ("while True:\n    mark()", True, False),
    ("while x:\n    mark(timeout=1)", False, True),
    ("while x.y:\n    yield x\n    mark()", False, True),
    ("for x in xs:\n    yield x\n    mark()", False, False),
    ("for x in xs:\n    gc.collect()", False, True),
]


@pytest.mark.parametrize(("code", "long", "idle"), TURNS)
def test_turns(code: str, long: bool, idle: bool) -> None:
    indented = "\n".join(f"    {line}" for line in code.splitlines())
    found = context(f"def f():\n{indented}", "f")
    node = call(found, "(")
    loop = found.flow.loop(node)
    assert loop is not None
    assert (long_turn(found, node, loop), waits(loop)) == (long, idle)
