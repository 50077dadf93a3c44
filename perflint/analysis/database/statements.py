"""Calls that run SQL: on what, which text, what it does."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import libcst as cst

from perflint.analysis.database import sql
from perflint.analysis.database.receivers import Receiver, guessed, proved
from perflint.analysis.flow import bound_names
from perflint.analysis.match import last_name, names_in
from perflint.analysis.names import Binding
from perflint.analysis.patterns.invariance import variables
from perflint.analysis.tree import Function, walk, walk_scope

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

EXECUTES = frozenset({"execute", "exec", "exec_driver_sql", "executemany", "executescript"})
FETCHES = frozenset(
    {"fetchone", "fetchall", "fetchmany", "fetchval", "fetch", "fetchrow", "scalar", "scalars", "scalar_one"}
    | {"scalar_one_or_none", "one", "one_or_none", "first", "all", "mappings"}
)
_ASKING = {"fetch", "fetchrow", "fetchval", "scalar", "scalars"}  # methods that take the SQL themselves
_DEPTH = 6
_WRAPPERS = {
    *("sqlalchemy.text", "sqlalchemy.sql.text", "sqlalchemy.sql.expression.text", "sqlmodel.text"),
    *("psycopg.sql.SQL", "psycopg2.sql.SQL", "textwrap.dedent", "inspect.cleandoc", "builtins.str"),
}
_CONSTRUCTS = {"insert": "INSERT", "update": "UPDATE", "delete": "DELETE", "select": "SELECT"}
_CONSTRUCT_MODULES = ("sqlalchemy", "sqlmodel")


class Statement(NamedTuple):
    """One call that runs SQL."""

    call: cst.Call
    receiver: Receiver
    method: str
    sql: cst.BaseExpression
    text: str | None  # `{}` where a value is put in; None where it is not in sight
    verb: str | None
    params: tuple[cst.Arg, ...]

    @property
    def on(self) -> cst.BaseExpression:
        """The connection, cursor or session."""
        assert isinstance(self.call.func, cst.Attribute)
        return self.call.func.value

    @property
    def writes(self) -> bool:
        return self.verb in sql.WRITES

    @property
    def returns_rows(self) -> bool:
        """Whether a write gives rows back by `RETURNING`."""
        if self.text is not None:
            return sql.returns_rows(self.text)
        return any(isinstance(part, cst.Name) and part.value == "returning" for part in walk(self.sql))


def statement(context: Context, node: cst.CSTNode, loop: cst.CSTNode | None = None) -> Statement | None:
    """The statement that a call runs; None where the receiver is nobody's.

    With `loop` the text is in sight only where each turn runs the same one.
    """
    match node:
        case cst.Call(
            func=cst.Attribute(value=owner, attr=cst.Name(value=method)),
            args=[cst.Arg(value=query, keyword=None, star=""), *params],
        ) if method in EXECUTES or method in _ASKING:
            known = proved(context, owner)
            text = text_of(context, query, loop)
            verb = sql.verb(text) if text is not None else construct(context, query)
            if known is None and verb is not None:
                known = guessed(context, owner)
            if known is None or known.kind not in ("connection", "cursor", "session", "pool"):
                return None
            return Statement(node, known, method, query, text, verb, tuple(params))
    return None


def statements(context: Context, within: cst.CSTNode, loop: cst.CSTNode | None = None) -> list[Statement]:
    """All statements that the nodes of a block run, nested functions left out, in source order."""
    found = (statement(context, node, loop) for node in walk_scope(within) if isinstance(node, cst.Call))
    return [item for item in found if item is not None]


def text_of(context: Context, node: cst.BaseExpression, loop: cst.CSTNode | None = None) -> str | None:
    """The SQL text that an expression is, `{}` for what is put in; None where it is not in sight.

    With `loop`, what is put in must stay the same through its turns.
    """
    return _Texts(context, loop).of(node)


def construct(context: Context, node: cst.BaseExpression) -> str | None:
    """The verb of an SQLAlchemy construct: `insert(users).values(..)`, `users.update()`, by name or directly."""
    node = _followed(context, node)
    if "sqlalchemy" not in context.facts.packages and "sqlmodel" not in context.facts.packages:
        return None
    while isinstance(node, cst.Call):
        name = context.objects.function(node.func) or ""
        module, _, last = name.rpartition(".")
        if module.startswith(_CONSTRUCT_MODULES) and last in _CONSTRUCTS:
            return _CONSTRUCTS[last]
        match node.func:
            case cst.Attribute(value=cst.Name() | cst.Attribute(), attr=cst.Name(value=method)):
                return _CONSTRUCTS.get(method) if not node.args or method != "update" else None
            case cst.Attribute(value=inner):
                node = inner
            case _:
                return None
    return None


def table_of(context: Context, node: cst.BaseExpression) -> cst.BaseExpression | None:
    """What an SQLAlchemy construct is about: `users` of `insert(users).values(..)` and of `users.insert()`."""
    node = _followed(context, node)
    while isinstance(node, cst.Call):
        match node:
            case cst.Call(func=function, args=[cst.Arg(value=table), *_]) if (
                last_name(function) in _CONSTRUCTS
            ):
                return table
            case cst.Call(func=cst.Attribute(value=inner, attr=cst.Name(value=name))):
                if name in _CONSTRUCTS:
                    return inner
                node = inner
            case _:
                return None
    return None


def made_from(context: Context, found: Statement) -> Iterator[cst.CSTNode]:
    """What the statement is made from, behind a name, too."""
    yield from (found.sql, *found.params)
    if isinstance(found.sql, cst.Name) and found.text is None:
        for binding in context.names.bindings(found.sql):
            if binding.value is not None:
                yield binding.value


def of_many_rows(context: Context, found: Statement) -> bool:
    """Whether one SQLAlchemy construct writes many rows: those of a list, of a query, or `IN` a list."""
    query = found.sql
    for part in walk((_only_value(context, query) or query) if isinstance(query, cst.Name) else query):
        match part:
            case cst.Call(func=cst.Attribute(attr=cst.Name(value="in_" | "from_select"))):
                return True
            case cst.Call(
                func=cst.Attribute(attr=cst.Name(value="values")), args=[cst.Arg(value=cst.Name() as rows)]
            ):
                bindings = context.names.bindings(rows)
                if any(isinstance(item.value, (cst.List, cst.ListComp)) for item in bindings):
                    return True
    return False


def _followed(context: Context, node: cst.BaseExpression) -> cst.BaseExpression:
    """What a local stands for, through other locals; the last name where no value of it is in sight."""
    for _ in range(_DEPTH):
        value = _only_value(context, node) if isinstance(node, cst.Name) else None
        if value is None:
            break
        node = value
    return node


def _only_value(context: Context, node: cst.Name) -> cst.BaseExpression | None:
    """The expression that a local is bound to: by its only assignment, or by the last one on the way to here."""
    bindings = context.names.bindings(node)
    if len(bindings) > 1 and context.scope(node).owner(node.value) is context.scope(node):
        return _last_value(context, node, bindings)
    return context.names.assigned(node)


def _last_value(context: Context, node: cst.Name, bindings: list[Binding]) -> cst.BaseExpression | None:
    """What the statement assigns that comes last before the use, where nothing in between may."""
    inside = context.flow.inside
    here: cst.CSTNode = context.tree.statement(node)
    while True:
        block = context.tree.parent(here)
        if not isinstance(block, (cst.IndentedBlock, cst.Module)):
            return None
        earlier = block.body[: next(at for at, item in enumerate(block.body) if item is here)]
        for line in reversed(earlier):
            found = [item for item in bindings if inside(item.node, line)]
            if found:
                plain = len(found) == 1 and isinstance(line, cst.SimpleStatementLine)
                return found[0].value if plain and found[0].kind == "assign" else None
        above = context.tree.parent(block)
        if above is None or isinstance(above, (*Function, cst.ClassDef)):
            return None
        if isinstance(above, (cst.For, cst.While)) and any(inside(item.node, above) for item in bindings):
            return None  # by an earlier turn
        here = above


class _Texts:
    """One question for a text; `loop` is what it must stay the same through."""

    def __init__(self, context: Context, loop: cst.CSTNode | None) -> None:
        self.context = context
        self.loop = loop
        self.depth = 0

    def of(self, node: cst.BaseExpression) -> str | None:
        self.depth += 1
        try:
            return self._of(node) if self.depth <= 40 else None
        finally:
            self.depth -= 1

    def _of(self, node: cst.BaseExpression) -> str | None:
        match node:
            case cst.SimpleString():
                value = node.evaluated_value
                return value if isinstance(value, str) else None
            case (
                cst.ConcatenatedString(left=left, right=right)
                | cst.BinaryOperation(left=left, operator=cst.Add(), right=right)
            ):
                return self._joined(left, right)
            case cst.FormattedString(parts=parts):
                return self._formatted(parts)
            case cst.BinaryOperation(left=left, operator=cst.Modulo(), right=right):
                return self.of(left) if self._steady(right) else None
            case cst.Call():
                return self._call(node)
            case cst.Name():
                return self._name(node)
            case cst.Attribute(value=cst.Name(value="self" | "cls"), attr=cst.Name(value=name)):
                stores = self.context.facts.outline.attribute(self.context.objects.home(node).owner, name)
                return _literal(stores[0].value) if len(stores) == 1 else None
        return None

    def _joined(self, left: cst.BaseExpression, right: cst.BaseExpression) -> str | None:
        """`"INSERT INTO " + table`: what is put in counts like a field of an f-string."""
        first = self.of(left)
        if first is None:
            return None
        second = self.of(right)
        if second is None and self._steady(right):
            second = "{}"
        return first + second if second is not None else None

    def _formatted(self, parts: Sequence[cst.BaseFormattedStringContent]) -> str | None:
        found = []
        for part in parts:
            if isinstance(part, cst.FormattedStringText):
                found.append(part.value)
            elif isinstance(part, cst.FormattedStringExpression) and self._steady(part.expression):
                found.append("{}")
            else:
                return None
        return "".join(found)

    def _call(self, node: cst.Call) -> str | None:
        match node:
            case cst.Call(
                func=cst.Attribute(value=inner, attr=cst.Name(value="format" | "strip" | "replace")),
                args=args,
            ):
                return self.of(inner) if all(self._steady(item.value) for item in args) else None
            case cst.Call(args=[cst.Arg(value=inner, keyword=None, star=""), *_]):
                return self.of(inner) if self.context.objects.function(node.func) in _WRAPPERS else None
        return None

    def _name(self, node: cst.Name) -> str | None:
        owner = self.context.scope(node).owner(node.value)
        if owner is None or owner is self.context.names.top:
            return _literal(self.context.facts.constant(node.value))
        value = _only_value(self.context, node)
        return self.of(value) if value is not None else None

    def _steady(self, node: cst.BaseExpression) -> bool:
        """Whether no name in the expression is bound by the loop, and nothing in it makes a new value each time."""
        if self.loop is None:
            return True
        if any(isinstance(part, (cst.Await, cst.Yield, cst.NamedExpr)) for part in walk(node)):
            return False
        return names_in(node).isdisjoint(bound_in(self.loop))


def bound_in(loop: cst.CSTNode) -> set[str]:
    """Every name that a loop or comprehension binds: its variables and what its body assigns."""
    found = variables(loop)
    for node in walk(loop):
        match node:
            case cst.Assign(targets=targets):
                found = found.union(*(bound_names(item.target) for item in targets))
            case cst.AnnAssign(target=target) | cst.AugAssign(target=target) | cst.NamedExpr(target=target):
                found |= bound_names(target)
            case cst.For(target=target) | cst.CompFor(target=target) | cst.AsName(name=target):
                found |= bound_names(target)
            case cst.MatchAs(name=cst.Name(value=name)) | cst.MatchStar(name=cst.Name(value=name)):
                found.add(name)
    return found


def _literal(node: ast.expr | None) -> str | None:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Call(
            func=ast.Attribute(attr="dedent" | "cleandoc" | "SQL" | "text") | ast.Name(id="text" | "dedent"),
            args=[inner],
        ):
            return _literal(inner)
        case ast.Call(func=ast.Attribute(value=inner, attr="strip"), args=[]):
            return _literal(inner)
    return None
