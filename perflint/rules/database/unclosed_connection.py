"""A connection or session is opened in a function, and nothing in it closes it.

A server has a fixed number of connections (PostgreSQL's `max_connections`), a pool has fewer, and a file has a lock.
One that nobody closes is taken until it is collected: sometimes at once, much later where a traceback or a cycle
holds it (from Python 3.11 on every sqlite3 connection is in one, with its statement cache). An aiosqlite
connection keeps the program from ending.

Bad:

    import sqlite3


    def names_of(path):
        conn = sqlite3.connect(path)
        rows = conn.execute("SELECT name FROM users").fetchall()
        return [name for (name,) in rows]

Good:

    import sqlite3
    from contextlib import closing


    def names_of(path):
        with closing(sqlite3.connect(path)) as conn:
            rows = conn.execute("SELECT name FROM users").fetchall()
        return [name for (name,) in rows]

Found for connections of all drivers that perflint knows, SQLAlchemy's sessions and connections, and
connections taken from a pool by `getconn` or `acquire`; also where the call is not even bound
(`sqlite3.connect(path).execute(..)`), where only an `except` closes, and where a loop opens and only
the last one is closed after it.

In tests it is an info: their process ends soon.

Not flagged: a connection that is returned, yielded, stored, passed on, registered or used by a nested function, or
whose cursor is; one that is entered by a `with` later; module-level code and lambdas; fixtures, `setUp`, `__init__`
and context managers; functions that end the process; what a `with pytest.raises(..)` or the like holds.
`close-on-exception = true` also reports connections that are closed only where nothing fails.

The fix puts the statements up to the last use into a `with`. It is unsafe: the connection is closed sooner, and
what still uses it in a way that the text does not tell finds it closed. There is none for `getconn()`, for a
connection of asyncpg outside of a pool, and where something closes it at times.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis import library
from perflint.analysis.connections.derived import hands_on, reach
from perflint.analysis.connections.lifetimes import CLOSING, Lifetime, bound_to, lifetime, owned_elsewhere
from perflint.analysis.connections.openings import Opening, opening
from perflint.analysis.connections.wrapping import wrapped
from perflint.analysis.database import drivers
from perflint.analysis.database.items import per_item
from perflint.analysis.database.statements import statements
from perflint.analysis.gates import Gate
from perflint.analysis.match import last_name
from perflint.analysis.outline import leaf
from perflint.analysis.rule import Context, Rule
from perflint.analysis.sketch import Sketch, awaited_for
from perflint.analysis.tree import Function, walk
from perflint.fixing.imports import import_edit
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity

_CONNECTS = library.spellings({*drivers.CONNECTS, *drivers.SESSIONS})
_MAKERS = library.spellings(drivers.SESSION_MAKERS)
_LENDERS = {kind for kind, role in drivers.ROLES.items() if role.kind in ("engine", "pool")}
_LENDING = library.spellings(
    {
        *_LENDERS,
        drivers.FLASK_SQLALCHEMY,
        *(name for name, kind in drivers.RETURNS.items() if kind in _LENDERS),
    }
)


def _hopeful(sketch: Sketch) -> bool:
    if not sketch.region.function:
        return False
    opened = set(sketch.calls_to(*_CONNECTS))
    if sketch.file_mentions(*_LENDING):
        opened.update(sketch.calls("connect", "acquire", "getconn"))
    if sketch.file_mentions(*_MAKERS):
        calls = sketch.of(ast.Call)
        opened.update(call for call in calls if "ession" in (leaf(call.func) or ast.unparse(call.func)))
    if not opened:
        return False
    on = [call.func.value for call in sketch.of(ast.Call) if isinstance(call.func, ast.Attribute)]
    dropped = {awaited_for(item) for item in (*on, *(node.value for node in sketch.of(ast.Expr)))}
    return not opened.isdisjoint(dropped | sketch.bound)


rule = Rule(
    code="PRF506",
    name="unclosed-connection",
    summary="a connection or session that its function opens and never closes",
    category="database",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(
        text=(b"onnect", b"ession", b".acquire(", b".getconn("),
        names=library.spellings(drivers.CONNECTS),
        imports=drivers.IMPORTS,
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    service=True,
)

_ENDS_PROCESS = {"_exit", "execv", "execve", "execvp", "execvpe", "execl", "execlp", "execle"}


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    opened = opening(context, node)
    if opened is None or _of_others(node, context) or _under_test(node, context):
        return
    name = bound_to(context, node)
    if name is None:
        if _discarded(opened, context):
            message = f"this {opened.word} is never closed; bind it, and {opened.remedy(_short(opened))}"
            yield rule.finding(context, node, message, severity=_severity(context))
        return
    life = lifetime(context, name)
    far = reach(context, name) if life is not None and not life.escapes else None
    if life is None or far is None or far.escapes:
        return
    what = _neglect(node, life, context)
    if what is not None:
        verb = "given back to its pool" if opened.pool else "closed"
        yield rule.finding(
            context,
            node,
            f"{opened.word} `{name.value}` is {what.format(verb)}; {opened.remedy(name.value)}",
            _fix(opened, name, far.uses, context) if what.startswith("never") else None,
            _severity(context),
        )


def _severity(context: Context) -> Severity:
    """A test's process ends soon; from Python 3.13 on it is warned, at most."""
    return Severity.INFO if context.in_test else rule.severity


def _of_others(node: cst.Call, context: Context) -> bool:
    """Whether the function around sets up things for others, or leaves everything to the end of the process."""
    around = next((above for above in context.tree.ancestors(node) if isinstance(above, Function)), None)
    if not isinstance(around, cst.FunctionDef) or owned_elsewhere(context, node):
        return True
    calls = (part for part in walk(around.body) if isinstance(part, cst.Call))
    return any(last_name(part.func) in _ENDS_PROCESS for part in calls)


def _short(opened: Opening) -> str:
    return "session" if opened.word == "session" else "conn"


def _discarded(opened: Opening, context: Context) -> bool:
    """`connect(p).execute(q)`, and a connection that is opened for nothing."""
    tree = context.tree
    parent = tree.taker(opened.call)
    if isinstance(parent, cst.Expr):
        return opened.word == "connection"
    if not isinstance(parent, cst.Attribute) or not isinstance(tree.parent(parent), cst.Call):
        return False
    # `execution_options()` returns the connection itself
    return last_name(parent) not in CLOSING | {"execution_options"} and not hands_on(context, opened.call)


def _under_test(node: cst.CSTNode, context: Context) -> bool:
    """Whether a `with pytest.raises(..)` or `assertWarns` holds the call: it is meant to fail, or to leak."""
    items = (
        item for above in context.tree.ancestors(node) if isinstance(above, cst.With) for item in above.items
    )
    return any(
        isinstance(item.item, cst.Call) and last_name(item.item.func).endswith(("aises", "arns", "Regex"))
        for item in items
    )


def _neglect(node: cst.Call, life: Lifetime, context: Context) -> str | None:
    """How the connection is left open; `{}` stands for the verb. None where it is closed."""
    if not life.closed:
        return "{} only after an error" if life.ends else "never {}"
    ends = [end for end in life.ends if end.place != "handler"]
    loop = per_item(context, node)
    inside = [end for end in ends if loop is None or context.flow.inside(end.node, loop)]
    if isinstance(loop, (cst.For, cst.While)) and not inside and not _conditional(node, loop, context):
        return "{} only in the last turn of the loop"
    if context.config.close_on_exception and all(end.place == "plain" for end in life.ends):
        return "{} only where nothing fails"
    return None


def _conditional(node: cst.CSTNode, loop: cst.CSTNode, context: Context) -> bool:
    """Whether only some turns of the loop open it."""
    branches = (cst.If, cst.ExceptHandler, cst.MatchCase)
    return any(isinstance(above, branches) for above in context.tree.ancestors(node, loop))


def _fix(opened: Opening, name: cst.Name, uses: tuple[cst.Name, ...], context: Context) -> Fix | None:
    if opened.pool and last_name(opened.call.func) == "getconn":
        return None
    if opened.driver is drivers.ASYNCPG and not opened.pool:
        return None
    code, added = context.tree.code(opened.call), None
    commits = opened.driver.package == "psycopg"  # at the end of its `with`
    if opened.direct and (not commits or _settled(name, context)):
        # AsyncConnection.connect() is a coroutine; the others' awaitables can be entered as they are
        awaited = "await " if commits and opened.driver.asynchronous else ""
        header = f"{opened.keyword} {awaited}{code} as {name.value}:"
    else:
        place = import_edit(context.source, context.facts.tree, "contextlib", "closing")
        if place is None or opened.driver.asynchronous:
            return None
        header, added = f"with {place[0]}({code}) as {name.value}:", place[1]
    edits = wrapped(context, name, uses, header)
    if edits is None:
        return None
    more: tuple[Edit, ...] = (added,) if added is not None else ()
    return Fix("Close it after its last use", (*edits, *more), Applicability.UNSAFE)


def _settled(name: cst.Name, context: Context) -> bool:
    """Whether a commit at the end changes nothing: the function commits itself, or only reads."""
    function = context.tree.function(name)
    assert function is not None
    calls = [part for part in walk(function.body) if isinstance(part, cst.Call)]
    if any(last_name(part.func) == "commit" for part in calls):
        return True
    return all(item.verb == "SELECT" for item in statements(context, function.body))
