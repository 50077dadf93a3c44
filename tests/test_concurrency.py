"""The shared analyses of the task and pool rules: what spawns, what admits, what is settled, who is who."""

import ast
import textwrap

import libcst as cst
import pytest
from regions import call, context, loop

from perflint.analysis.concurrency import handlers
from perflint.analysis.concurrency.admission import admitted, takes_limiter
from perflint.analysis.concurrency.daemons import is_daemon
from perflint.analysis.concurrency.endless import endless
from perflint.analysis.concurrency.fates import fate
from perflint.analysis.concurrency.loggers import module_logger
from perflint.analysis.concurrency.queueing import bounded, never_full, unbounded
from perflint.analysis.concurrency.roles import Roles, closes, is_cleanup
from perflint.analysis.concurrency.settled import settled
from perflint.analysis.concurrency.spawns import spawn
from perflint.analysis.concurrency.waiting import waiting
from perflint.analysis.facts import Facts
from perflint.analysis.tree import walk
from perflint.model.source import Source

HEAD = """
import asyncio, threading, anyio, trio, queue
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import Process, Pool
"""

SPAWNS = {
    "asyncio.create_task(c())": "task",
    "asyncio.ensure_future(c())": "task",
    "asyncio.get_running_loop().create_task(c())": "task",
    "asyncio.get_running_loop().run_in_executor(None, c)": "loop-executor",
    "asyncio.to_thread(c)": "loop-executor",
    "threading.Thread(target=c)": "thread",
    "threading.Timer(5, c)": "thread",
    "Process(target=c)": "process",
    "ThreadPoolExecutor().submit(c)": "executor",
    "Pool().apply_async(c)": "pool",
    "tg.create_task(c())": "group",
    "nursery.start_soon(c)": "group",
}


@pytest.mark.parametrize("code", SPAWNS)
def test_what_spawns(code: str) -> None:
    found = context(
        f"{HEAD}async def f():\n    async with asyncio.TaskGroup() as tg, trio.open_nursery() as nursery:\n        {code}\n"
    )
    [seen] = [item for node in walk(found.tree.root) if (item := spawn(found.objects, node))]
    assert seen.how == SPAWNS[code]
    assert cst.ensure_type(seen.work, cst.Name if isinstance(seen.work, cst.Name) else cst.Call)


def in_loop(body: str, header: str = "for x in xs:") -> str:
    lines = textwrap.indent(textwrap.dedent(body), " " * 8)
    return f"{HEAD}async def f(xs, sem, tasks, n, self, q):\n    {header}\n{lines}\n"


ADMITTED = {
    "acquire": "await sem.acquire()\nspawn(x)",
    "a blocking acquire": "self.slots.acquire()\nspawn(x)",
    "a limiter's own method": "await self.rate_limiter.wait()\nspawn(x)",
    "a full collection waits": "if len(tasks) >= n:\n    await asyncio.wait(tasks)\nspawn(x)",
    "a full collection is cleared": "if len(tasks) > n:\n    tasks.clear()\nspawn(x)",
    "a loop that waits": "while len(tasks) >= n:\n    await asyncio.sleep(1)\nspawn(x)",
    "connections are counted": "if self.active >= MAX:\n    continue\nspawn(x)",
    "before a branch": "await sem.acquire()\nif x:\n    spawn(x)",
    "in the same branch": "if x:\n    await sem.acquire()\n    spawn(x)",
    "in a try, before its else": "try:\n    sem.acquire_nowait()\nexcept E:\n    continue\nelse:\n    spawn(x)",
    "where there is a limiter": "if self.limiter is not None:\n    self.limiter.acquire_nowait()\nspawn(x)",
    "a method that acquires": "if await self._acquire_token(x):\n    spawn(x)",
    "a slot or nothing": "if sem.acquire(False):\n    spawn(x)",
    "in a try": "try:\n    await sem.acquire()\nfinally:\n    pass\nspawn(x)",
}
OPEN = {
    "nothing": "spawn(x)",
    "in a try, in its handler": "try:\n    sem.acquire_nowait()\nexcept E:\n    spawn(x)",
    "after the spawn": "spawn(x)\nawait sem.acquire()",
    "in one branch only": "if x:\n    await sem.acquire()\nspawn(x)",
    "in another branch": "if x:\n    await sem.acquire()\nelse:\n    spawn(x)",
    "released at once": "async with sem:\n    spawn(x)",
    "asked, and not looked at": "if sem.acquire(False):\n    log()\nspawn(x)",
    "not blocking": "sem.acquire(False)\nspawn(x)",
    "a count that only logs": "if len(tasks) > n:\n    print(n)\nspawn(x)",
    "a queue is no limiter": "x = await q.get()\nspawn(x)",
}


@pytest.mark.parametrize("body", ADMITTED.values(), ids=ADMITTED)
def test_admitted(body: str) -> None:
    found = context(in_loop(body), "f")
    assert admitted(found.objects, found.flow, call(found, "spawn(x)"), loop(found))


@pytest.mark.parametrize("body", OPEN.values(), ids=OPEN)
def test_not_admitted(body: str) -> None:
    found = context(in_loop(body), "f")
    assert not admitted(found.objects, found.flow, call(found, "spawn(x)"), loop(found))


@pytest.mark.parametrize(
    ("code", "taken"),
    [("mount(sema, x)", True), ("limited(x)", True), ("fetch(x)", False), ("fetch(s=self._limiter)", True)],
)
def test_takes_limiter(code: str, taken: bool) -> None:
    found = context(in_loop(code), "f")
    assert takes_limiter(found.objects, call(found, code)) is taken


SETTLED = {
    "awaited": "await spawn(x)",
    "awaited later": "t = spawn(x)\nawait t",
    "a pair": "r = spawn(x)\nw = other(x)\nawait asyncio.wait({r, w})",
    "gathered": "await asyncio.gather(spawn(x), other(x))",
    "in a list": "ts = [spawn(x), other(x)]\nawait asyncio.wait(ts)",
    "appended and gathered": "ts = []\nts.append(spawn(x))\nawait asyncio.gather(*ts)",
    "added to a list": "ts = []\nts += [spawn(x), spawn(y)]\nawait asyncio.gather(*ts)",
    "cancelled": "t = spawn(x)\nt.cancel()",
    "cancelled in finally": "t = spawn(x)\ntry:\n    work()\nfinally:\n    t.cancel()",
    "joined": "t = spawn(x)\nt.start()\nt.join()",
    "an attribute": "self.t = spawn(x)\nawait self.t",
    "a loop over them": "ts = [spawn(x) for y in x]\nfor t in ts:\n    await t",
    "result": "spawn(x).result()",
}
LOOSE = {
    "a statement": "spawn(x)",
    "collected": "tasks.append(spawn(x))",
    "another one is awaited": "t = spawn(x)\nawait other(x)",
    "a callback": "t = spawn(x)\nt.add_done_callback(print)",
}


@pytest.mark.parametrize("body", SETTLED.values(), ids=SETTLED)
def test_settled(body: str) -> None:
    found = context(in_loop(body, "while True:"), "f")
    assert settled(found.objects, found.flow, call(found, "spawn(x)"), loop(found))


@pytest.mark.parametrize("body", LOOSE.values(), ids=LOOSE)
def test_not_settled(body: str) -> None:
    found = context(in_loop(body, "while True:"), "f")
    assert not settled(found.objects, found.flow, call(found, "spawn(x)"), loop(found))


@pytest.mark.parametrize(
    ("opening", "answer"),
    [
        ("async with asyncio.TaskGroup() as tg:", True),
        ("with ThreadPoolExecutor() as tg:", True),
        ("with other() as tg:", False),
    ],
)
def test_a_group_of_the_turn_settles(opening: str, answer: bool) -> None:
    found = context(in_loop(f"{opening}\n    tg.spawn(x)"), "f")
    assert settled(found.objects, found.flow, call(found, "tg.spawn"), loop(found)) is answer


FATES = {
    "spawn(x)": "dropped",
    "_ = spawn(x)": "underscore",
    "t = spawn(x)": "unread",
    "t = spawn(x)\nprint(t)": "used",
    "t = spawn(x)\ndef g(): return t": "used",
    "t = spawn(x)\nprint(locals())": "used",
    "await spawn(x)": "awaited",
    "g = lambda: spawn(x)": "lambda",
    "[spawn(x)]": "dropped",
    "[spawn(x) for x in xs]": "dropped",
    "ts = [spawn(x) for x in xs]": "unread",
    "ts = {x: spawn(x) for x in xs}\nprint(ts)": "used",
    "self.t = spawn(x)": "used",
    "d[k] = spawn(x)": "used",
    "keep(spawn(x))": "used",
    "global t\nt = spawn(x)": "used",
}


@pytest.mark.parametrize("body", FATES)
def test_fates(body: str) -> None:
    found = context("async def f(xs, self, d, k, x):\n" + textwrap.indent(body, "    "), "f")
    assert fate(found.names, found.flow, call(found, "spawn(x)")) == FATES[body]


STARTED = {
    "Thread(target=w).start()": ["thread"],
    "threading.Thread(None, w)": ["thread"],
    "Thread(target=lambda: w(1))": ["thread"],
    "Process(target=w)": ["process"],
    "asyncio.create_task(w())": ["task"],
    "tg.create_task(w())": ["group"],
    "nursery.start_soon(w)": ["group"],
    "ex.submit(w, 1)": ["executor"],
    "loop.run_in_executor(None, w)": ["executor"],
    "ex.submit(partial(w, 1))": ["executor"],
    "w()": [],
}


@pytest.mark.parametrize("code", STARTED)
def test_workers(code: str) -> None:
    found = context(
        f"from functools import partial\nfrom threading import Thread\ndef w():\n    pass\n{code}\n"
    )
    [function] = found.facts.outline.functions["w"]
    assert [item.by for item in found.roles.starts(function)] == STARTED[code]


def test_methods_nested_functions_and_run() -> None:
    found = context(
        """
        import threading
        class A(threading.Thread):
            def run(self): pass
            def go(self):
                def inner(): pass
                threading.Thread(target=self.work)
                threading.Thread(target=inner)
            def work(self): pass
            def generator(self): yield
            def more(self):
                threading.Thread(target=self.generator)
        def inner(): pass
        """
    )
    outline = found.facts.outline
    names = {
        name: [bool(found.roles.starts(item)) for item in outline.functions[name]]
        for name in outline.functions
    }
    assert names == {
        "run": [True],
        "go": [False],
        "inner": [True, False],
        "work": [True],
        "generator": [False],
        "more": [False],
    }


HANDLERS = {
    "@app.post('/x')\ndef f(): pass": True,
    "@bot.command\ndef f(): pass": True,
    "def f(request: web.Request): pass": True,
    "def f(self, ws: 'WebSocket'): pass": True,
    "async def f(scope, receive, send): pass": True,
    "def do_GET(self): pass": True,
    "@functools.cache\ndef f(): pass": False,
    "def f(request): pass": False,
    "import celery\n@celery.shared_task(bind=True)\ndef f(self): pass": True,
    "from celery import shared_task\n@shared_task\ndef f(): pass": True,
    "import dramatiq\n@dramatiq.actor\ndef f(): pass": True,
    "from rq.decorators import job\n@job('low')\ndef f(): pass": True,
    "from prefect import task\n@task\ndef f(): pass": False,
    "def lambda_handler(event, context): pass": True,
    "def handler(event): pass": False,
}


@pytest.mark.parametrize("code", HANDLERS)
def test_handlers(code: str) -> None:
    found = context(code)
    [function] = (item for items in found.facts.outline.functions.values() for item in items)
    assert found.roles.handler(function) is HANDLERS[code]


@pytest.mark.parametrize(("path", "view"), [("shop/views.py", True), ("shop/models.py", False)])
def test_views_of_django_are_handlers(path: str, view: bool) -> None:
    code = "from django.http import HttpResponse\ndef f(request, pk): pass\n"
    facts = Facts(Source(path, code.encode()), ast.parse(code))
    [function] = facts.outline.functions["f"]
    assert Roles(facts.outline).handler(function) is view


@pytest.mark.parametrize(
    "name",
    [
        "close",
        "aclose",
        "_stop",
        "shutdown",
        "__aexit__",
        "__del__",
        "cancel_all",
        "stop_workers",
        "tearDown",
    ],
)
def test_names_that_close(name: str) -> None:
    assert closes(name)


@pytest.mark.parametrize("name", ["run", "closest", "stopwatch", "fetch", "start", "killer_feature"])
def test_names_that_do_not(name: str) -> None:
    assert not closes(name)


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        ("async def aclose(s): spawn(s)", True),
        ("def f(s):\n    try: g()\n    finally: spawn(s)", True),
        ("def f(s):\n    try: g()\n    except E: spawn(s)", True),
        ("def f(s):\n    spawn(s)", False),
        ("def f(s):\n    try: spawn(s)\n    finally: g()", False),
        ("def close(s):\n    def one(): spawn(s)", True),
    ],
)
def test_cleanup(code: str, answer: bool) -> None:
    found = context(code)
    assert is_cleanup(found.tree, call(found, "spawn(s)")) is answer


ISOLATED = {
    "try:\n    work()\nexcept Exception:\n    log()": True,
    "try:\n    work()\nexcept:\n    log()": True,
    "try:\n    work()\nexcept ValueError:\n    log()": False,
    "try:\n    work()\nexcept Exception:\n    raise": False,
    "try:\n    work()\nexcept Exception:\n    if x:\n        raise": True,
    "try:\n    work()\nfinally:\n    done()": False,
    "try:\n    log()\nexcept Exception:\n    work()": False,
    "try:\n    try:\n        work()\n    except ValueError:\n        raise\nexcept Exception:\n    log()": True,
    "with suppress(Exception):\n    work()": True,
    "with guard('x'):\n    work()": True,
    "with suppress(OSError):\n    work()": False,
    "def g():\n    try:\n        work()\n    except Exception:\n        pass": True,
}


@pytest.mark.parametrize("body", ISOLATED)
def test_isolated(body: str) -> None:
    code = "from contextlib import suppress\ndef f(x):\n    while True:\n" + textwrap.indent(body, " " * 8)
    found = context(code, "f")
    assert handlers.isolated(found.names, call(found, "work()"), loop(found)) is ISOLATED[body]


QUIET = {
    "pass": True,
    "continue": True,
    "return": True,
    "return None": True,
    "...": True,
    "'nothing to do'": True,
    "log()": False,
    "raise": False,
    "x = 1": False,
    "return 1": False,
}


@pytest.mark.parametrize("body", QUIET)
def test_silent(body: str) -> None:
    found = context(
        f"def f():\n    while True:\n        try: g()\n        except ValueError:\n            {body}"
    )
    [handler] = [item for item in walk(found.tree.root) if isinstance(item, cst.ExceptHandler)]
    assert handlers.is_silent(handler) is QUIET[body]


LEAVES = {
    "raise": (True, True),
    "return": (False, True),
    "break": (False, True),
    "if x:\n    raise": (False, False),
    "if x:\n    raise\nelse:\n    raise": (True, True),
    "if x:\n    raise\nelif y:\n    return\nelse:\n    raise": (False, True),
    "try:\n    raise\nfinally:\n    g()": (True, True),
    "def g(): raise": (False, False),
    "pass": (False, False),
}


@pytest.mark.parametrize("body", LEAVES)
def test_how_a_handler_ends(body: str) -> None:
    code = "def f(x, y):\n    while 1:\n        try: g()\n        except ValueError:\n" + textwrap.indent(
        body, " " * 12
    )
    [handler] = [item for item in walk(context(code).tree.root) if isinstance(item, cst.ExceptHandler)]
    assert (handlers.always_raises(handler), handlers.leaves(handler)) == LEAVES[body]


WAITS = {
    "queue.Queue().put(1)": "forever",
    "queue.Queue().put(1, timeout=None)": "forever",
    "queue.Queue().put(1, True, 2)": "deadline",
    "queue.Queue().put(1, timeout=2)": "deadline",
    "queue.Queue().put(1, timeout=self.patience)": "unknown",
    "queue.Queue().put(1, False)": "never",
    "queue.Queue().put_nowait(1)": "never",
    "queue.SimpleQueue().put(1)": "never",
    "queue.Queue().put(*args)": "unknown",
    "queue.Queue().get(False)": "never",
    "queue.Queue().get()": "forever",
    "queue.Queue().join()": "forever",
    "queue.Queue().qsize()": None,
    "asyncio.Queue().put(1)": "forever",
    "asyncio.Queue().get_nowait()": "never",
    "threading.Lock().acquire()": "forever",
    "threading.Lock().acquire(False)": "never",
    "threading.Lock().acquire(blocking=flag)": "unknown",
    "threading.Semaphore().acquire(timeout=1)": "deadline",
    "threading.Lock().acquire(timeout=-1)": "forever",
    "asyncio.Semaphore().acquire()": "forever",
    "threading.Event().wait(1)": "deadline",
    "threading.Event().wait()": "forever",
    "asyncio.Event().wait()": "forever",
    "threading.Condition().wait(1)": "deadline",
    "threading.Thread().join(0.5)": "deadline",
    "Process().join()": "forever",
}


@pytest.mark.parametrize("code", WAITS)
def test_how_long_a_call_waits(code: str) -> None:
    found = context(f"{HEAD}def f(self, flag, args):\n    {code}\n", "f")
    node = call(found, code)
    kind, method = found.objects.method(node)
    assert waiting(kind, method, node) == WAITS[code]


LOGGERS = {
    "import logging\nlogger = logging.getLogger(__name__)": "logger",
    "from logging import getLogger as g\n_log = g('x')": "_log",
    "from loguru import logger": "logger",
    "import logging": None,
    "logger = make()": None,
    "import logging\nlogger = logging.getLogger()\nlogger = None": None,
    "import logging\nlogger = logging.getLogger()\ndef g():\n    global logger": None,
}


@pytest.mark.parametrize("head", LOGGERS)
def test_the_logger_of_a_module(head: str) -> None:
    found = context(f"{head}\ndef f():\n    here()\n", "f")
    assert module_logger(found.names, call(found, "here")) == LOGGERS[head]


def test_a_logger_that_a_local_hides() -> None:
    found = context("import logging\nlog = logging.getLogger()\ndef f(log):\n    here()\n", "f")
    assert module_logger(found.names, call(found, "here")) is None


ENDLESS = {
    "while True:\n    g()": True,
    "while 1:\n    g()": True,
    "with x:\n    while True:\n        g()": True,
    "while True:\n    for y in x:\n        break": True,
    "while True:\n    def h(): return 1\n    h()": True,
    "while True:\n    try: g()\n    except E: pass": True,
    "while x:\n    g()": False,
    "while True:\n    if g(): break": False,
    "while True:\n    if g(): return": False,
    "while True:\n    raise E": False,
    "while True:\n    sys.exit()": False,
    "while True:\n    stop_if_asked()": False,
    "while True:\n    helper()": False,
    "try:\n    while True: g()\nexcept E: pass": False,
    "if x:\n    while True: g()": False,
    "g()": False,
}


@pytest.mark.parametrize("body", ENDLESS)
def test_endless(body: str) -> None:
    code = "def helper():\n    raise WorkerStopped\ndef f(x):\n" + textwrap.indent(body, "    ")
    outline = context(code).facts.outline
    [function] = outline.functions["f"]
    assert endless(function, outline) is ENDLESS[body]


BOUNDS = {
    "queue.Queue()": (False, True),
    "queue.Queue(0)": (False, True),
    "queue.Queue(maxsize=-1)": (False, True),
    "queue.Queue(None)": (False, True),
    "queue.Queue(5)": (True, False),
    "queue.Queue(maxsize=n)": (True, False),
    "queue.SimpleQueue()": (False, True),
    "asyncio.Queue(*n)": (True, False),
}


@pytest.mark.parametrize("made", BOUNDS)
def test_bounds_of_queues(made: str) -> None:
    found = context(f"{HEAD}def f(n, other):\n    {made}.put(1)\n    other.put_nowait(2)\n")
    queue = found.objects.of(call(found, "put(1)").func.value)
    assert (bounded(queue), unbounded(queue)) == BOUNDS[made]
    assert never_full(found, queue) is BOUNDS[made][1]
    assert never_full(found, None) is BOUNDS[made][1]


def test_a_queue_of_another_file_may_be_full() -> None:
    assert not never_full(context(f"{HEAD}def f(q): q.put_nowait(1)"), None)


DAEMONS = {
    "t = threading.Thread(target=c, daemon=True)": True,
    "t = threading.Thread(target=c, daemon=c())": True,
    "t = threading.Thread(target=c, **c)": True,
    "t = threading.Thread(target=c, daemon=False)": False,
    "t = threading.Thread(target=c)": False,
    "t = threading.Thread(target=c)\nt.daemon = True": True,
    "t = threading.Thread(target=c)\nt.daemon = False": False,
    "t = threading.Thread(target=c)\nt.setDaemon(True)": True,
    "t = threading.Thread(target=c)\nother.daemon = True": False,
    "t = threading.Thread(target=c)\ndef g():\n    t.daemon = True": False,
}


@pytest.mark.parametrize("body", DAEMONS)
def test_daemons(body: str) -> None:
    found = context(f"{HEAD}def f(c, other):\n{textwrap.indent(body, '    ')}\n", "f")
    node = call(found, "threading.Thread")
    made, home = found.objects.of(node), found.objects.home(node)
    assert is_daemon(made, "t", home, found.facts.outline) is DAEMONS[body]
