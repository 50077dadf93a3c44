"""What a loop or a gathered comprehension starts, where it piles up, and how many there are by nature."""

import textwrap

import libcst as cst
import pytest
from regions import call, context, loop

from perflint.analysis.concurrency.crowds import crowd, header
from perflint.analysis.concurrency.fanout import fan, gathered, inner_work, limited, limits_itself
from perflint.analysis.concurrency.fates import reads_all
from perflint.analysis.concurrency.feeds import Place, consumes, ends, escapes, handles_full, produces, pushed
from perflint.analysis.concurrency.nouns import meaning
from perflint.analysis.concurrency.piles import few, piles
from perflint.analysis.concurrency.spawns import spawn
from perflint.analysis.sizes import Size
from perflint.analysis.tree import walk

HEAD = """
import asyncio, queue, threading
sem = asyncio.Semaphore(3)
gate = asyncio.Semaphore(3)
lock = asyncio.Lock()
async def c(x): return x
async def first(x):
    print(x)
    async with gate: return x
async def acquires(x):
    await gate.acquire()
async def late(x):
    await c(x)
    async with gate: return x
async def locks(x):
    async with lock: return x
async def calls(x):
    return await first(x)
async def worker(q):
    while True: await q.get()
"""


def region(body: str, **options):
    lines = textwrap.indent(textwrap.dedent(body), "    ")
    return context(f"{HEAD}\nasync def f(self, xs, ws, q, n, tasks, part):\n{lines}\n", "f", **options)


FANS = {
    "asyncio.gather(*(c(x) for x in xs))": True,
    "asyncio.gather(*[c(x) for x in xs], c(1))": True,
    "asyncio.gather(*map(c, xs))": True,
    "asyncio.wait([asyncio.create_task(c(x)) for x in xs])": True,
    "asyncio.wait(list(c(x) for x in xs))": True,
    "asyncio.as_completed({c(x) for x in xs})": True,
    "asyncio.gather(*(asyncio.wait_for(c(x), 3) for x in xs))": True,
    "asyncio.gather(*(asyncio.wait_for(x, 3) for x in xs))": False,
    "asyncio.gather(*(asyncio.shield(x) for x in xs))": False,
    "asyncio.gather(*(x for x in xs))": False,
    "asyncio.gather(*(x.wait() for x in xs))": False,
    "asyncio.gather(*(tasks.pop(x) for x in xs))": False,
    "asyncio.gather(*tasks)": False,
    "asyncio.gather([c(x) for x in xs])": False,
    "asyncio.sleep(*(c(x) for x in xs))": False,
}


@pytest.mark.parametrize("code", FANS)
def test_fans(code: str) -> None:
    found = region(code)
    outermost = next(node for node in walk(found.tree.root) if isinstance(node, cst.Call))
    assert (fan(found, outermost) is not None) is FANS[code]


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ("ts = [c(x) for x in xs]\nasyncio.gather(*ts)", True),
        ("ts: list = [c(x) for x in xs]\nasyncio.gather(*ts)", True),
        ("asyncio.wait([c(x) for x in xs])", True),
        ("ts = [c(x) for x in xs]\nfor t in ts: await t", False),
        ("[c(x) for x in xs]", False),
    ],
)
def test_gathered(body: str, answer: bool) -> None:
    found = region(body)
    comp = next(node for node in walk(found.tree.root) if isinstance(node, cst.ListComp))
    assert gathered(found, comp) is answer


def test_only_the_first_gather_of_a_name_is_the_fan() -> None:
    found = region("ts = [c(x) for x in xs]\nasyncio.wait(ts)\nasyncio.gather(*ts)")
    assert fan(found, call(found, "asyncio.wait")) is not None
    assert fan(found, call(found, "asyncio.gather")) is None


LIMITED = {
    "first(x)": True,
    "acquires(x)": True,
    "calls(x)": True,
    "late(x)": False,
    "locks(x)": False,
    "c(x)": False,
    "unknown(x)": False,
}


@pytest.mark.parametrize("code", LIMITED)
def test_limits_itself(code: str) -> None:
    found = region(f"asyncio.create_task({code})")
    work = inner_work(found, call(found, "create_task"))
    assert limits_itself(found, work) is LIMITED[code]
    assert limited(found, work) is LIMITED[code]


def test_a_limiter_that_is_handed_over() -> None:
    found = region("asyncio.create_task(c(sem))")
    work = inner_work(found, call(found, "create_task"))
    assert limited(found, work) and not limits_itself(found, work)


PILES = {
    "for x in xs: asyncio.create_task(c(x))": [Size.UNKNOWN],
    "async for x in ws: asyncio.create_task(c(x))": [Size.INFINITE],
    "for x in (1, 2): asyncio.create_task(c(x))": [],
    "while True:\n    for x in (1, 2): asyncio.create_task(c(x))": [Size.INFINITE],
    "while True:\n    for x in xs: asyncio.create_task(c(x))": [Size.UNKNOWN, Size.INFINITE],
    "while True:\n    await sem.acquire()\n    for x in xs: asyncio.create_task(c(x))": [Size.UNKNOWN],
    "for x in xs: await asyncio.create_task(c(x))": [],
    "for x in xs:\n    asyncio.create_task(c(x))\n    break": [],
    "while len(tasks) < n: tasks.append(asyncio.create_task(c(1)))": [],
    "[asyncio.create_task(c(x)) for x in xs]": [Size.UNKNOWN],
    "asyncio.create_task(c(1))": [],
}


@pytest.mark.parametrize("body", PILES)
def test_piles(body: str) -> None:
    found = region(body)
    made = spawn(found.objects, call(found, "create_task"))
    assert made is not None
    assert [item.size for item in piles(found, made)] == PILES[body]


FEW = {
    "for x in xs: asyncio.create_task(c(x))": False,
    "for x in xs: asyncio.create_task(first(x))": True,
    "for x in xs: asyncio.create_task(x.aclose())": True,
    "for x in xs: asyncio.create_task(self.disconnect_peer(x))": True,
    "for x in xs: asyncio.create_task(part.serve(x))": True,
    "async for x in ws: asyncio.create_task(x.serve())": False,
    "async for x in ws:\n    await part.close()\n    asyncio.create_task(part.run())": True,
    "async for x in ws: self.t = asyncio.create_task(c(x))": True,
    "async for x in ws: self.ts[x] = asyncio.create_task(c(x))": False,
    "async for x in ws:\n    if x in tasks: continue\n    tasks[x] = asyncio.create_task(c(x))": True,
    "while True:\n    await asyncio.sleep(5)\n    asyncio.create_task(c(1))": True,
    "while True:\n    await asyncio.sleep(0)\n    asyncio.create_task(c(1))": False,
}


@pytest.mark.parametrize("body", FEW)
def test_few(body: str) -> None:
    found = region(body)
    made = spawn(found.objects, call(found, "create_task"))
    assert made is not None
    assert few(found, made, next(piles(found, made))) is FEW[body]


CROWDS = {
    "for x in xs: c(x)": "many",
    "for x in ws: x.load()": "acting",
    "for x in self.xs: c(x)": "own",
    "for x in list(self.xs.values()): c(x)": "own",
    "for x in self.rows(): c(x)": "many",
    "for x in self.xs: x.load()": "few",
    "for x in servers: c(x)": "few",
    "for plugin in xs: c(plugin)": "few",
    "for x in reply['plugins']: c(x)": "few",
    "for x in server.rows(): c(x)": "many",
    "for x in plugins or (): c(x)": "few",
    "for x in zip(self.xs, ws): c(x)": "own",
    "for _ in range(self.n): c(q)": "own",
    "for x in ws: anext(x)": "few",
    "for x in coros: c(x)": "few",
    "for x in batch: c(x)": "few",
    "for x in xs: self.ask_worker(x)": "few",
    "for x in xs: worker(x)": "many",
    "for _ in range(n): worker(q)": "few",
    "for _ in range(n): c(q)": "many",
    "async for x in self.xs: c(x)": "many",
    "while True: c(1)": "many",
}


DATA = {
    "for url in granting": True,
    "for x in urls_to_fetch": True,
    "for x in self._userIds": True,
    "for x in sorted(paths)": True,
    "for x in await db.fetch_all()": True,
    "for x in body['messages']": True,
    "for k, v in images.items()": True,
    "for x in media.get('image', ())": True,
    "for x in (u for u in urls)": True,
    "for x in range(n)": True,
    "for item in items": True,
    "for x in open(p)": True,
    "for x in pages or []": True,
    "for x in resource_group_ids": False,
    "for group in xs": False,
    "for key in shards": False,
    "for name, fn in hooks.items()": False,
    "for x in load_plugins()": False,
    "for x in reply['worker-plugins']": False,
    "for x in agents_with_url": False,
}


@pytest.mark.parametrize("code", DATA)
def test_words_for_data(code: str) -> None:
    found = context(f"async def f(self):\n    {code}: pass\n", "f")
    assert (meaning(*header(loop(found))) == "data") is DATA[code]


@pytest.mark.parametrize("body", CROWDS)
def test_crowds(body: str) -> None:
    found = region(body)
    loop = next(node for node in walk(found.tree.root) if isinstance(node, (cst.For, cst.While)))
    work = next(node for node in walk(loop.body) if isinstance(node, cst.Call))
    assert crowd(found, *header(loop), work) == CROWDS[body]


READS = {
    "list(pool.map(c, xs))": True,
    "for x in pool.map(c, xs): c(x)": True,
    "pool.submit(c).result()": True,
    "pool.submit(c)": False,
    "pool.map(c, xs)": False,
    "print(x for x in pool.map(c, xs))": False,
    "for x in pool.map(c, xs): break": False,
    "keep(pool)": False,
    "c(xs)": False,
}


@pytest.mark.parametrize("body", READS)
def test_reads_all(body: str) -> None:
    found = region(f"with p() as pool:\n    {body}")
    block = next(node for node in walk(found.tree.root) if isinstance(node, cst.With))
    assert reads_all(block.body, "pool", found.names) is READS[body]


ENDS = """
import queue, threading
class A:
    def start(self):
        self.q = queue.Queue()
        threading.Thread(target=self.main).start()
    def main(self):
        self.work()
    def work(self):
        while True:
            self.q.get()
    def idle(self):
        while True:
            self.q.get()
    def __next__(self):
        return self.q.get()
    def read(self, sock):
        while not sock.closed:
            self.q.put(sock.recv())
    def stop(self):
        while True:
            self.q.put(None)
    def fill(self, xs):
        for x in xs:
            self.q.put(x)
    def on_frame(self, x):
        self.q.put(x)
    def later(self, x):
        self.loop.call_soon_threadsafe(self.q.put_nowait, x)
    def sheds(self, x):
        try:
            self.q.put_nowait(x)
        except queue.Full:
            pass
"""


def test_the_ends_of_a_queue() -> None:
    found = context(ENDS)
    outline = found.facts.outline
    [owner] = outline.classes["A"]
    place = Place("q", owner=owner)
    seen = list(ends(outline, place))

    def functions(test) -> list[str]:
        return [item.home.function.name for item in seen if test(item)]

    assert functions(lambda item: consumes(found.roles, item)) == ["work", "__next__"]
    assert functions(lambda item: produces(found.roles, item)) == ["read", "on_frame", "later"]
    assert functions(lambda item: item.method.startswith("put") and pushed(item)) == ["on_frame", "later"]
    assert functions(handles_full) == ["sheds"]
    assert not escapes(outline, place)


def test_a_queue_that_stays_in_its_class() -> None:
    code = "import queue\nclass A:\n    def f(self, other):\n        self.q = queue.Queue()\n        self.q.put(1)\n        {}"
    for line, answer in (("self.q.get()", False), ("other(self.q)", True), ("return self.q", True)):
        outline = context(code.format(line)).facts.outline
        assert escapes(outline, Place("q", owner=outline.classes["A"][0])) is answer
