"""Commits in loops: which are there for a reason, and what they make permanent."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import libcst as cst

from perflint.analysis.connections import clients
from perflint.analysis.database.drivers import ENGINE, SESSION_MAKERS, SESSIONS
from perflint.analysis.database.items import per_item
from perflint.analysis.database.receivers import receiver
from perflint.analysis.database.sql import WRITES, pages
from perflint.analysis.database.statements import EXECUTES, Statement, of_many_rows, statements
from perflint.analysis.database.transactions import is_transaction, rolls_back, withs
from perflint.analysis.flow import bound_names
from perflint.analysis.match import decorator_name, dotted, last_name, names_in, root, unawaited
from perflint.analysis.patterns.invariance import variables
from perflint.analysis.tree import walk, walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_TRANSACTIONS = {"atomic", "commit_on_success", "transactional"}  # decorators
_ADDS = {"add", "merge", "delete"}
_SAVES = {"save", "create", "update", "delete", "get_or_create", "update_or_create"}
_WRITTEN = re.compile(r"(^|_)(insert|update|delete|upsert|replace)(_|s?$)", re.I)  # names of SQL texts
_DEFINES = {
    "CREATE",
    "ALTER",
    "DROP",
    "TRUNCATE",
    "VACUUM",
    "REINDEX",
    "ATTACH",
    "DETACH",
    "ANALYZE",
    "GRANT",
}
_OUTSIDE = re.compile(
    r"^_?(a?send|post|publish|notify|upload|download|deliver|emit|dispatch|enqueue|request|scrape|crawl|email)(_\w+)?$"
    r"|^(put|delay|apply_async|urlopen|urlretrieve|input|prompt|fsync|rename|unlink|rmtree|rmdir|symlink_to|mkdir|run|submit)$"
    r"|_(page|url|api|request|email|mail)$",
    re.I,
)  # fmt: skip
_OUTSIDE_MODULES = (
    "requests.",
    "httpx.",
    "urllib.request.",
    "urllib3.",
    "shutil.",
    "subprocess.",
    "smtplib.",
    "boto3.",
)
_FILES = {"os.remove", "os.rename", "os.replace", "os.unlink", "os.system", "os.link", "os.symlink"}
_MEASURES = re.compile(r"(^|_)(batch|chunk|buffer|buf|pending|every|interval|limit|max|count|counter|flush|size|elapsed|last)(_|s?$|\d)", re.I)  # fmt: skip


def deliberate(context: Context, node: cst.CSTNode, loop: cst.For | cst.While) -> bool:
    """Whether a commit in each turn is there for a reason, or comes only every so many turns."""
    for above in context.tree.ancestors(node, loop):
        if isinstance(above, cst.If) and (_counts(above.test) or _once(above, loop)):
            return True
        if isinstance(above, (cst.Try, cst.TryStar)) and above.handlers:
            return True
    if rolls_back(loop.body) or any(
        isinstance(part, cst.Yield) or _undoes(part) for part in walk_scope(loop.body)
    ):
        return True
    if isinstance(loop, cst.While) and _pages(context, loop):
        return True
    return _acts_outside(context, loop) or any(
        found.verb in _DEFINES for found in statements(context, loop.body)
    )


def _pages(context: Context, loop: cst.While) -> bool:
    """Whether a turn asks for its part of the rows: it is a batch."""
    calls = (part for part in walk_scope(loop) if isinstance(part, cst.Call))
    return any(last_name(call.func) in ("limit", "fetchmany") for call in calls) or any(
        found.text is not None and pages(found.text) for found in statements(context, loop)
    )


def _once(branch: cst.If, loop: cst.For | cst.While) -> bool:
    """Whether only one turn enters the branch: `if not name:` which binds the name that no turn unbinds."""
    name = _unset(branch.test)
    if name is None or name not in _assigned(branch.body):
        return False
    guarded = [
        part for part in walk_scope(loop.body) if isinstance(part, cst.If) and _unset(part.test) == name
    ]
    inside = sum(_assigned(part.body).count(name) for part in guarded)
    return name not in variables(loop) and inside == _assigned(loop.body).count(name)


def _unset(test: cst.BaseExpression) -> str | None:
    match test:
        case (
            cst.UnaryOperation(operator=cst.Not(), expression=cst.Name(value=name))
            | cst.Comparison(
                left=cst.Name(value=name),
                comparisons=[cst.ComparisonTarget(operator=cst.Is(), comparator=cst.Name(value="None"))],
            )
        ):
            return name
    return None


def _assigned(block: cst.CSTNode) -> list[str]:
    """The names that the statements of a block bind, each as often as they do."""
    return [
        name
        for part in walk_scope(block)
        if isinstance(part, (cst.AssignTarget, cst.AnnAssign, cst.NamedExpr, cst.For, cst.AsName))
        for name in bound_names(part.name if isinstance(part, cst.AsName) else part.target)
    ]


def _undoes(node: cst.CSTNode) -> bool:
    """Whether an `except` clause takes back what its turn has committed."""
    if not isinstance(node, cst.ExceptHandler):
        return False
    calls = (part for part in walk_scope(node.body) if isinstance(part, cst.Call))
    return any(last_name(call.func) in ("commit", "delete", "expunge") for call in calls)


def _counts(test: cst.BaseExpression) -> bool:
    """Whether a test is about how many rows, how many bytes, or how much time."""
    for part in walk(test):
        match part:
            case cst.Modulo() | cst.GreaterThan() | cst.GreaterThanEqual() | cst.BitAnd():
                return True
            case cst.Call(func=cst.Name(value="len")):
                return True
            case cst.Name(value=name) if _MEASURES.search(name):
                return True
    return any(isinstance(part, cst.BinaryOperation) for part in walk(test)) or _equals_number(test)


def _equals_number(test: cst.BaseExpression) -> bool:
    match test:
        case cst.Comparison(
            comparisons=[cst.ComparisonTarget(operator=cst.Equal(), comparator=cst.Integer())]
        ):
            return True
    return False


def _acts_outside(context: Context, loop: cst.For | cst.While) -> bool:
    """Whether a turn sends, fetches, moves or waits for something that is no row."""
    for part in walk_scope(loop.body):
        if isinstance(part, cst.Await) and not _asks_database(context, part.expression):
            return True
        if not isinstance(part, cst.Call):
            continue
        qualified = context.objects.function(part.func) or ""
        if qualified in clients.CALLS or qualified in _FILES or qualified.startswith(_OUTSIDE_MODULES):
            return True
        if _OUTSIDE.search(last_name(part.func)) and receiver_of(context, part) is None:
            return True
    return False


def receiver_of(context: Context, call: cst.Call) -> object:
    """The connection, cursor or session that a method is called on."""
    return receiver(context, call.func.value) if isinstance(call.func, cst.Attribute) else None


def _asks_database(context: Context, node: cst.BaseExpression) -> bool:
    while isinstance(node, cst.Call):
        if receiver_of(context, node) is not None:
            return True
        if not isinstance(node.func, cst.Attribute):
            return False
        node = node.func.value
    return False


def writes_in(
    context: Context, loop: cst.For | cst.While, owner: cst.BaseExpression, session: bool, django: bool
) -> bool:
    """Whether each turn of this loop, and no loop inside it, writes what `owner.commit()` makes permanent."""
    place = dotted(owner) if session else None
    calls = [found.call for found in statements(context, loop.body) if _committed(context, found, owner)]
    calls += _saves(loop.body, place, django)
    return any(per_item(context, call) is loop for call in calls) or (
        session and _sets_objects(context, loop)
    )


def _committed(context: Context, found: Statement, owner: cst.BaseExpression) -> bool:
    """Whether a statement writes by that connection, as far as can be seen."""
    if found.verb not in WRITES and (found.verb or found.text or not _WRITTEN.search(last_name(found.sql))):
        return False
    same = found.receiver.kind != "connection" or dotted(found.on) == dotted(owner)
    return same and not of_many_rows(context, found)


def _saves(block: cst.CSTNode, session: str | None, django: bool) -> Iterator[cst.Call]:
    """The calls that write objects."""
    for part in walk_scope(block):
        match part:
            case cst.Call(func=cst.Attribute(value=owner, attr=cst.Name(value=name))):
                adds = session is not None and name in _ADDS and dotted(owner) == session
                queries = name in _SAVES and session is not None and _queries(owner, session)
                if adds or queries or (django and name in _SAVES):
                    yield part


def _queries(node: cst.BaseExpression, session: str) -> bool:
    """`session.query(X).filter(..)` of `.update(..)` and `.delete()`."""
    while isinstance(node, (cst.Call, cst.Attribute)):
        if isinstance(node, cst.Attribute) and node.attr.value == "query" and dotted(node.value) == session:
            return True
        node = node.func if isinstance(node, cst.Call) else node.value
    return False


def _sets_objects(context: Context, loop: cst.For | cst.While) -> bool:
    """Whether a turn changes its item: `user.seen = now`, `user.roles.append(role)` before `session.commit()`."""
    targets = variables(loop)
    for part in walk_scope(loop.body):
        match part:
            case cst.AssignTarget(target=cst.Attribute() as target):
                pass
            case cst.Call(func=cst.Attribute(value=cst.Attribute() as target, attr=cst.Name(value=name))):
                if name not in ("append", "remove", "extend", "add", "clear"):
                    continue
            case _:
                continue
        if root(target) in targets and per_item(context, part) is loop:
            return True
    return False


# `with` statements that commit


def sole_transaction(context: Context, node: cst.With) -> cst.For | cst.While | None:
    """The loop whose whole body is this `with`, where its end commits, in no outer transaction."""
    block = context.tree.parent(node)
    loop = context.tree.parent(block) if block is not None else None
    if not isinstance(loop, (cst.For, cst.While)) or block is not loop.body or len(loop.body.body) != 1:
        return None
    if len(node.items) != 1 or not _commits(context, node.items[0].item, loop):
        return None
    inside = any(is_transaction(context, item) for item in withs(context, loop))
    return None if inside or _atomic(context, loop) else loop


def _commits(context: Context, item: cst.BaseExpression, loop: cst.CSTNode) -> bool:
    if not isinstance(item, cst.Call):
        known = receiver(context, item)
        if known is None or known.driver is None or root(item) in variables(loop):
            return False
        return known.kind == "connection" and known.driver.name in ("sqlite3", "psycopg2")
    if context.objects.function(item.func) == "django.db.transaction.atomic":
        return not any(arg.keyword is not None and arg.keyword.value == "savepoint" for arg in item.args)
    match item.func:
        case cst.Attribute(value=owner, attr=cst.Name(value="begin")) if root(owner) not in variables(loop):
            kind = context.objects.type(owner)
            return kind in {ENGINE, *SESSIONS, *SESSION_MAKERS}
        case cst.Attribute(value=owner, attr=cst.Name(value="transaction")):
            return _own_transaction(context, owner, loop)
    return False


def _own_transaction(context: Context, owner: cst.BaseExpression, loop: cst.CSTNode) -> bool:
    """Whether `conn.transaction()` is no savepoint: the function opened the connection, and no work is pending."""
    known = receiver(context, owner)
    if known is None or not known.proved or known.kind != "connection" or not isinstance(owner, cst.Name):
        return False
    bindings = context.names.bindings(owner)
    if len(bindings) != 1 or bindings[0].kind == "parameter" or known.driver is None:
        return False
    if known.driver.name == "asyncpg":
        return True
    function = context.tree.function(loop)
    start = context.tree.span(loop).start
    earlier = statements(context, function.body) if function is not None else []
    return not any(context.tree.span(found.call).start < start for found in earlier)


def _atomic(context: Context, loop: cst.CSTNode) -> bool:
    """Whether the function is one transaction: `@transaction.atomic`."""
    function = context.tree.function(loop)
    decorators = function.decorators if function is not None else ()
    return any(
        "atomic" in names_in(item.decorator) or decorator_name(item) in _TRANSACTIONS for item in decorators
    )


def is_write(context: Context, node: cst.With) -> bool:
    """Whether the block of a transaction is one write and nothing else."""
    block = node.body
    if not isinstance(block, cst.IndentedBlock) or len(block.body) != 1:
        return False
    match block.body[0]:
        case cst.SimpleStatementLine(body=[cst.Expr(value=value)]):
            call = unawaited(value)
            if not isinstance(call, cst.Call) or not isinstance(call.func, cst.Attribute):
                return False
            name = call.func.attr.value
            if name in EXECUTES:
                return any(found.writes for found in statements(context, value))
            django = last_name(getattr(node.items[0].item, "func", node.items[0].item)) == "atomic"
            return (django and name in _SAVES) or (not django and name in _ADDS)
    return False
