"""How many items an iterable can give."""

import pytest
from regions import context, loop

from perflint.analysis.sizes import Size

SMALL = """
(1, 2)
[a, b, c]
{"a": 1}.items()
range(8)
range(2, 60)
range(LIMIT)
range(n_workers)
range(self.num_threads)
range(os.cpu_count() or 1)
range(cfg["max_workers"])
NAMES
TABLE
TABLE.values()
sorted(NAMES)
enumerate((a, b))
zip(xs, (1, 2))
xs[:10]
xs[0:3]
xs[-3:]
xs[i : i + n]
islice(xs, 5)
itertools.islice(xs, 5)
random.sample(xs, 3)
Colour
filter(None, (a, b))
local
chunk
"""

UNKNOWN = """
xs
range(n)
range(100)
[*xs]
self.items
FILLED
xs[1:]
xs[:n]
islice(xs, n)
grown
map(f, xs)
zip(xs, ys)
open(p)
finite()
rebound
unknown_call(1)
"""

INFINITE = """
itertools.count()
itertools.cycle(xs)
itertools.repeat(1)
iter(q.get, None)
endless()
zip(itertools.count(), endless())
(x for x in itertools.count())
"""

CODE = """
import enum, itertools, os, random
from itertools import islice
LIMIT = 4
NAMES = ("a", "b")
TABLE = {{1: 2}}
FILLED = []
FILLED.append(1)
class Colour(enum.Enum):
    RED = 1
def endless():
    while True:
        yield 1
def finite():
    for x in xs:
        yield x
def f(self, xs, n, i):
    local = [1, 2, 3]
    grown = []
    grown.append(xs)
    rebound = (1, 2)
    rebound = xs
    for chunk in batched(xs, 50):
        pass
    for x in {iterable}:
        pass
"""


def size(iterable: str, **options) -> Size:
    found = context(CODE.format(iterable=iterable), "f", **options)
    last = found.tree.root.body.body[-1]
    return found.sizes.repeats(last)


@pytest.mark.parametrize("iterable", SMALL.strip().splitlines())
def test_small(iterable: str) -> None:
    assert size(iterable) is Size.SMALL


@pytest.mark.parametrize("iterable", UNKNOWN.strip().splitlines())
def test_unknown(iterable: str) -> None:
    assert size(iterable) is Size.UNKNOWN


@pytest.mark.parametrize("iterable", INFINITE.strip().splitlines())
def test_infinite(iterable: str) -> None:
    assert size(iterable) is Size.INFINITE


def test_the_limit_is_the_users() -> None:
    assert size("range(8)", small_limit=4) is Size.UNKNOWN
    assert size("range(100)", small_limit=100) is Size.SMALL


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("while True: pass", Size.INFINITE),
        ("while n < 3: pass", Size.INFINITE),
        ("async for x in ws: pass", Size.INFINITE),
        ("async for x in (a, b): pass", Size.SMALL),
    ],
)
def test_loops(code: str, expected: Size) -> None:
    found = context(f"async def f(ws, n):\n    {code}\n", "f")
    assert found.sizes.repeats(loop(found)) is expected


@pytest.mark.parametrize(
    ("iterable", "lazy"),
    [
        ("open(p)", True),
        ("enumerate(open(p))", True),
        ("os.walk(p)", True),
        ("path.rglob('*')", True),
        ("finite()", True),
        ("(g(x) for x in xs)", True),
        ("(g(x) for x in (1, 2))", False),
        ("xs", False),
        ("sorted(xs)", False),
        ("unknown()", False),
    ],
)
def test_lazy(iterable: str, lazy: bool) -> None:
    found = context(CODE.format(iterable=iterable), "f")
    last = found.tree.root.body.body[-1]
    assert found.sizes.lazy(last.iter) is lazy
