"""Whether a fix changes what a function does to a database: `differences(before, after, database)` lists where.

Both texts define `f(conn, rows)`, or `async def f` for asynchronous drivers. Rows are `Row(a, b)` tuples, or dictionaries with
those keys (`shape="dict"`). Each case runs both on equal tables and connections and compares the value returned (where
it is plain data), the type of the exception, the state of the transaction, what the connection sees, and what a second one
sees.
"""

import random
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

from databases import Database, Table

THERE = [(1, "one"), (2, "two"), (3, None)]  # what the table starts with
PENDING = "INSERT INTO t(a, b) VALUES (900, 'pending')"
PLAIN = (int, float, str, bytes, bool, list, tuple, dict, set, type(None))
TEXTS = ["", "x", "name", "O'Neill", "größer", "100%", "a;b", None]

Shape = Literal["tuple", "dict"]


class Row(NamedTuple):
    a: Any
    b: Any


class SourceFailed(Exception):
    """What a source of rows raises."""


class Case(NamedTuple):
    """Rows, how they come, and the state that the connection is in."""

    name: str
    rows: list[Any]
    lazy: bool = False  # an iterator, as files and queries give
    fails_at: int | None = None  # the source raises instead of giving this row
    pending: bool = False  # the caller has written something and not committed

    def source(self) -> Iterable[Any]:
        return self.failing() if self.fails_at is not None else iter(self.rows) if self.lazy else self.rows

    def failing(self) -> Iterator[Any]:
        yield from self.rows[: self.fails_at]
        raise SourceFailed


class Outcome(NamedTuple):
    returned: Any
    error: str
    state: str
    own: Table | str
    committed: Table


def cases(seed: int = 0, shape: Shape = "tuple", more: int = 12) -> list[Case]:
    """Every kind of input, in and out of a transaction; the same for the same seed. `more` have random faults."""
    chance = random.Random(seed)
    found = [*good(chance), *faults(chance), *mixtures(chance, more)]
    if shape == "dict":
        found = [case._replace(rows=[as_dict(row) for row in case.rows]) for case in found]
    inside = [case._replace(name=f"{case.name}, in a transaction", pending=True) for case in found]
    return found + inside


def rows(chance: random.Random, count: int) -> list[Any]:
    return [Row(number, chance.choice(TEXTS)) for number in chance.sample(range(10, 100), count)]


def good(chance: random.Random) -> Iterator[Case]:
    yield Case("no rows", [])
    yield Case("an empty iterator", [], lazy=True)
    for count in (1, 2, 7):
        yield Case(f"{count} rows", rows(chance, count))
        yield Case(f"an iterator of {count} rows", rows(chance, count), lazy=True)
    yield Case("keys that are there", [Row(number, "new") for number, _ in THERE])


def faults(chance: random.Random, count: int = 4) -> Iterator[Case]:
    """Each fault at each position of a few rows."""
    for at in range(count):
        for kind, fault in FAULTS.items():
            given = rows(chance, count)
            given[at] = fault(given, at)
            yield Case(f"{kind} at {at}", given, lazy=bool(at % 2))
    for at in range(count + 1):
        yield Case(f"a source that fails at {at}", rows(chance, count), fails_at=at)


def mixtures(chance: random.Random, more: int) -> Iterator[Case]:
    for number in range(more):
        given = rows(chance, chance.randrange(1, 9))
        for at in range(len(given)):
            if chance.random() < 0.2:
                given[at] = chance.choice(list(FAULTS.values()))(given, at)
        fails_at = chance.randrange(len(given)) if chance.random() < 0.2 else None
        yield Case(f"mixture {number}: {given}", given, chance.random() < 0.5, fails_at)


FAULTS = {
    "a duplicate": lambda given, at: Row(given[at - 1][0] if at else 1, "again"),
    "a refused value": lambda given, at: Row(-1, "refused"),
    "an unbindable value": lambda given, at: Row(given[at][0], Unbindable()),
    "a short row": lambda given, at: (given[at][0],),
}


class Unbindable:
    """No driver has a type for it."""

    def __repr__(self) -> str:
        return "Unbindable()"


def as_dict(row: Any) -> dict[str, Any]:
    return dict(zip("ab", row, strict=False))


def differences(
    before: str,
    after: str,
    database: Database,
    given: Iterable[Case] | None = None,
    *,
    shape: Shape = "tuple",
    seed: int = 0,
) -> list[str]:
    """A line for each case and aspect in which the two differ."""
    found = []
    for case in cases(seed, shape) if given is None else given:
        old, new = (outcome(text, database, case) for text in (before, after))
        for aspect, was, now in zip(Outcome._fields, old, new, strict=True):
            if was != now:
                found.append(f"{case.name}: {aspect} was {was!r}, is {now!r}")
    return found


def outcome(text: str, database: Database, case: Case) -> Outcome:
    """What the function does, on a fresh table and connection."""
    names: dict[str, Any] = {}
    exec(compile(text, "<function>", "exec"), names)
    database.reset(THERE)
    conn = database.connect()
    returned, error = None, ""
    try:
        if case.pending:
            database.work(conn, PENDING)
        try:
            returned = database.call(names["f"], conn, case.source())
        except Exception as raised:
            error = f"{type(raised).__module__}.{type(raised).__qualname__}"
        state = database.state(conn)
        own = database.own(conn)
        seen = database.committed(conn)
    finally:
        database.close(conn)
    return Outcome(returned if isinstance(returned, PLAIN) else type(returned), error, state, own, seen)
