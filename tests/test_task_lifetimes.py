"""The analyses of the rules about lifetimes: who awaits, who is guarded, who looks after a task."""

from __future__ import annotations

import ast
import textwrap

import libcst as cst
import pytest
from regions import call, context

from perflint.analysis.concurrency.cancellation import deferred, reaps
from perflint.analysis.concurrency.coroutines import awaiting, coroutine, entry, own_function, suspensions
from perflint.analysis.concurrency.guarded import called, guarded
from perflint.analysis.concurrency.races import made_here
from perflint.analysis.concurrency.readiness import checked, known_done
from perflint.analysis.concurrency.supervision import watched
from perflint.analysis.match import last_name
from perflint.analysis.tree import walk
from perflint.fixing.edits import apply
from perflint.fixing.imports import definition_edit
from perflint.model.source import Source

HEAD = "import asyncio, concurrent.futures\nfrom concurrent.futures import ThreadPoolExecutor\n"

OWN = {
    "async def f():\n    spawn(x)": "f",
    "async def f():\n    [spawn(x) for x in xs]": "f",
    "async def f():\n    def g(): spawn(x)": None,
    "async def f():\n    return lambda: spawn(x)": None,
    "def f():\n    spawn(x)": None,
    "async def f(a=spawn(x)): pass": None,
    "async def f():\n    class A: b = spawn(x)": None,
    "spawn(x)": None,
}


@pytest.mark.parametrize("code", OWN)
def test_whose_coroutine_it_is(code: str) -> None:
    found = context(code)
    function = coroutine(found.tree, call(found, "spawn(x)"))
    assert (function.name.value if function is not None else None) == OWN[code]


def test_a_lambda_is_a_function_too() -> None:
    found = context("def f():\n    return lambda: spawn(x)")
    assert isinstance(own_function(found.tree, call(found, "spawn(x)")), cst.Lambda)


SUSPENDS = {
    "await g()": 1,
    "async for x in g(): pass": 1,
    "async with g(): pass": 1,
    "[x async for x in g()]": 1,
    "g()": 0,
    "def h(): yield 1": 0,
    "yield 1": 0,
    "async def h(): await g()": 0,
}


@pytest.mark.parametrize("body", SUSPENDS)
def test_where_others_may_run(body: str) -> None:
    found = context(f"async def f():\n    {body}", "f")
    function = cst.ensure_type(found.tree.root, cst.FunctionDef)
    assert len(list(suspensions(function.body))) == SUSPENDS[body]
    generates = body.startswith("yield")
    assert len(list(suspensions(function.body, yields=True))) == SUSPENDS[body] + generates


AWAITED = {
    "return g()": "await h()",
    "return g().x": "(await h())",
    "return g()[0]": "(await h())",
    "return g()()": "(await h())",
    "return g() + 1": "await h()",
    "return g() ** 2": "(await h())",
    "return k(g())": "await h()",
}


@pytest.mark.parametrize("body", AWAITED)
def test_how_an_await_is_written(body: str) -> None:
    found = context(f"async def f():\n    {body}", "f")
    node = next(
        item for item in walk(found.tree.root) if isinstance(item, cst.Call) and last_name(item.func) == "g"
    )
    assert awaiting(found.tree, node, "h()") == AWAITED[body]


RUN = {
    "asyncio.run(f())": True,
    "loop.run_until_complete(f())": True,
    "asyncio_run(f(), debug=True)": True,
    "asyncio.run(g())": False,
    "asyncio.run(f)": False,
    "rerun(f())": False,
    "create_task(f())": False,
}


@pytest.mark.parametrize("code", RUN)
def test_what_asyncio_run_runs(code: str) -> None:
    found = context(f"{HEAD}async def f(): pass\n{code}\n")
    function = next(item for item in walk(found.tree.root) if isinstance(item, cst.FunctionDef))
    assert entry(found.objects, function) is RUN[code]


GUARDED = {
    "try:\n    await g()\nexcept Exception:\n    log()": True,
    "'''Doc.'''\nx = 1\ntry:\n    await g()\nexcept:\n    pass\nfinally:\n    h()": True,
    "while True:\n    await asyncio.sleep(1)\n    try:\n        g()\n    except (ValueError, Exception):\n        pass": True,
    "try:\n    g()\nexcept Exception:\n    pass\nelse:\n    logger.info('done')": True,
    "try:\n    g()\nexcept Exception:\n    raise": False,
    "try:\n    g()\nexcept ValueError:\n    pass": False,
    "try:\n    g()\nexcept Exception:\n    pass\nh()": False,
    "try:\n    g()\nexcept Exception:\n    pass\nelse:\n    h()": False,
    "return h()": False,
    "pass": False,
}


@pytest.mark.parametrize("body", GUARDED)
def test_what_lets_no_exception_out(body: str) -> None:
    tree = ast.parse("async def f():\n" + textwrap.indent(body, "    "))
    [function] = tree.body
    assert isinstance(function, ast.AsyncFunctionDef)
    assert guarded(function) is GUARDED[body]


@pytest.mark.parametrize(
    ("decorator", "answer"),
    [
        ("@log_exceptions", True),
        ("@utils.catch_errors(log=1)", True),
        ("@log_calls", False),
        ("@cache", False),
    ],
)
def test_decorators_that_catch(decorator: str, answer: bool) -> None:
    [function] = ast.parse(f"{decorator}\ndef f():\n    g()").body
    assert isinstance(function, ast.FunctionDef)
    assert guarded(function) is answer


@pytest.mark.parametrize(
    ("code", "name"),
    [("work(x)", "work"), ("self.work(x)", "work"), ("other.work(x)", None), ("d[k](x)", None)],
)
def test_what_is_called(code: str, name: str | None) -> None:
    found = context(
        f"def work(x): pass\nclass A:\n    def work(self, x): pass\n    def f(self):\n        {code}\n"
    )
    node = next(item for item in walk(found.tree.root) if isinstance(item, cst.Call))
    function = called(found.objects, node)
    assert (function.name if function is not None else None) == name


RACES = {
    "ts = [asyncio.create_task(c(x)) for x in xs]\nwait(ts)": True,
    "wait([asyncio.create_task(c(1)), asyncio.create_task(c(2))])": True,
    "a = asyncio.create_task(c(1))\nb = asyncio.create_task(c(2))\nwait({a, b})\na.result()": True,
    "a = asyncio.create_task(c(1))\nwait([a])\nprint(a in done)": True,
    "a = asyncio.create_task(c(1))\nwait([a])\na.cancel()": False,
    "a = asyncio.create_task(c(1))\nwait([a])\nkeep(a)": False,
    "a = asyncio.create_task(c(1))\nif x:\n    a = xs\nwait([a])": False,
    "wait(xs)": False,
    "wait([c(1)])": False,
    "wait(())": False,
    "async with asyncio.TaskGroup() as tg:\n    ts = [tg.create_task(c(x)) for x in xs]\nwait(ts)": False,
    "with ThreadPoolExecutor() as ex:\n    fs = [ex.submit(c, x) for x in xs]\n    wait(fs)": False,
    "ex = ThreadPoolExecutor()\nfs = [ex.submit(c, x) for x in xs]\nwait(fs)": True,
}


@pytest.mark.parametrize("body", RACES)
def test_tasks_that_nobody_looks_after(body: str) -> None:
    found = context(f"{HEAD}async def f(c, x, xs, wait):\n" + textwrap.indent(body, "    "), "f")
    node = next(
        item
        for item in walk(found.tree.root)
        if isinstance(item, cst.Call) and last_name(item.func) == "wait"
    )
    assert made_here(found, node.args[0].value, node) is RACES[body]


DONE = {
    "if fut.done():\n    fut.result()": True,
    "await asyncio.wrap_future(fut)\nfut.result()": True,
    "for fut in fs:\n    if fut in done:\n        fut.result()": True,
    "fut.result()": False,
    "keep(fut)\nfut.result()": False,
    "fut.result()\nfut.done()": False,
    "if other.done():\n    fut.result()": False,
}


@pytest.mark.parametrize("body", DONE)
def test_futures_that_are_done(body: str) -> None:
    found = context(f"{HEAD}async def f(fut, fs, done, other, keep):\n" + textwrap.indent(body, "    "), "f")
    node = call(found, "fut.result()")
    assert known_done(found, cst.ensure_type(node.func, cst.Attribute).value, node) is DONE[body]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ("while not q.empty():\n    q.get()", True),
        ("if q.qsize() > 0:\n    q.get()", True),
        ("while other.empty():\n    q.get()", False),
        ("q.get()", False),
    ],
)
def test_queues_that_hold_something(body: str, answer: bool) -> None:
    found = context("async def f(q, other):\n" + textwrap.indent(body, "    "), "f")
    node = call(found, "q.get()")
    assert checked(found, cst.ensure_type(node.func, cst.Attribute).value, node) is answer


CAUGHT = {
    # body of the function: (it reaps, it is deferred in a loop, it is deferred elsewhere)
    "t.cancel()\ntry:\n    await t\nexcept BaseException:\n    pass": (True, False, False),
    "try:\n    await t\nexcept BaseException:\n    t.cancel()": (False, False, False),
    "u.cancel()\ntry:\n    await t\nexcept BaseException:\n    pass": (False, False, False),
    "try:\n    await asyncio.shield(t)\nexcept BaseException:\n    pass": (False, True, True),
    "try:\n    await t\nexcept BaseException as e:\n    errors.append(e)": (False, False, True),
    "try:\n    await t\nexcept BaseException as e:\n    fut.set_exception(e)": (False, True, True),
    "try:\n    await t\nexcept BaseException as e:\n    error = e\nraise error": (False, True, True),
    "try:\n    await t\nexcept BaseException as e:\n    return e": (False, True, True),
    "try:\n    await t\nexcept BaseException as e:\n    log(e)": (False, False, False),
    "try:\n    await t\nexcept BaseException:\n    if task().cancelling():\n        raise": (
        False,
        True,
        True,
    ),
}


@pytest.mark.parametrize("body", CAUGHT)
def test_cancellations_that_are_meant(body: str) -> None:
    found = context(
        f"{HEAD}async def f(t, u, errors, fut, log, task):\n" + textwrap.indent(body, "    "), "f"
    )
    function = cst.ensure_type(found.tree.root, cst.FunctionDef)
    node = next(item for item in walk(function) if isinstance(item, cst.Try))
    answers = (
        reaps(found, node, function),
        *(deferred(found, node, node.handlers[0], function, endless) for endless in (True, False)),
    )
    assert answers == CAUGHT[body]


LOOKED = {
    "self.t.cancel()": False,
    "if self.t and not self.t.done(): pass": False,
    "self.t = None": False,
    "self.t.add(1); self.t.discard(1); len(self.t)": False,
    "t.add_done_callback(self.t.discard)": False,
    "self.t.add_done_callback(self.x.discard)": False,
    "self.t[k].cancel()": False,
    "for t in self.t: t.cancel()": False,
    "await self.t": True,
    "self.t.result()": True,
    "keep(self.t)": True,
    "return self.t": True,
    "other.t.exception()": True,
    "self.t.add_done_callback(log)": True,
    "for t in self.t: await t": True,
    "x = self.t.pop()": True,
    "gather(*self.t)": True,
}


@pytest.mark.parametrize("body", LOOKED)
def test_who_looks_at_a_task(body: str) -> None:
    found = context(f"class A:\n    async def f(self):\n        {body}\n")
    assert watched(found.facts.outline, "t") is LOOKED[body]


DEFINED = {
    "import os\n<<\nX = 1\n>>\n\ndef f(): pass\n": "below an import",
    "import os\n<<\nX = 1\n\n>>def f(): pass\n": "with code right after",
    "from os import (\n    path,\n)\nimport sys\n<<\nX = 1\n>>\nY = 2\n": "below the last of several",
    "<<X = 1\n\n\n>>def f(): pass\n": "above the first function",
    '"""Doc."""\n<<\nX = 1\n>>\n\ndef f(): pass\n': "below a docstring",
    "import os<<\n\nX = 1>>": "without a final newline",
}


@pytest.mark.parametrize("text", DEFINED, ids=DEFINED.values())
def test_where_a_definition_goes(text: str) -> None:
    start, rest = text.split("<<")
    source = Source("x.py", (start + rest.split(">>")[1]).encode())
    edit = definition_edit(source, ast.parse(source.text), "X = 1")
    assert apply(source.data, (edit,)).decode() == text.replace("<<", "").replace(">>", "")
