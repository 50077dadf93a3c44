"""`executemany()` of psycopg2 and pyodbc sends one statement per row.

psycopg2's `executemany()` is a loop of `execute()`. Its `extras` send many rows per round trip:
`execute_batch()` joins the statements of a page, `execute_values()` writes one INSERT with many VALUES.
pyodbc sends all rows at once only if the cursor's `fast_executemany` is set.

Bad:

    import psycopg2


    def save(dsn, rows):
        conn = psycopg2.connect(dsn)
        cur = conn.cursor()
        cur.executemany("INSERT INTO readings(at, value) VALUES (%s, %s)", rows)
        conn.commit()
        conn.close()

Good:

    import psycopg2
    from psycopg2.extras import execute_batch


    def save(dsn, rows):
        conn = psycopg2.connect(dsn)
        cur = conn.cursor()
        execute_batch(cur, "INSERT INTO readings(at, value) VALUES (%s, %s)", rows)
        conn.commit()
        conn.close()

Not flagged: a handful of rows that the text shows, cursors that are not surely psycopg2's or pyodbc's,
pyodbc where the file sets `fast_executemany`, SQL that is not in sight or does not write.

The fix, for psycopg2, is unsafe: `rowcount` afterwards tells of the last page only, and an error names a page of
statements. There is none where the cursor's `rowcount` is read.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.database.drivers import PSYCOPG2, PYODBC
from perflint.analysis.database.statements import Statement, statement
from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted
from perflint.analysis.rule import Context, Rule
from perflint.analysis.tree import walk
from perflint.fixing.imports import import_edit
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

rule = Rule(
    code="PRF511",
    name="slow-executemany",
    summary="executemany() of psycopg2 or pyodbc sends one statement per row",
    category="database",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(text=(b".executemany",), imports=("psycopg2", "pyodbc")),
    doc=__doc__,
    benchmark=None,
)

_FEW = 4


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    if not isinstance(node.func, cst.Attribute) or node.func.attr.value != "executemany":
        return
    found = statement(context, node)
    if found is None or not found.writes or not found.receiver.proved or _few(found, context):
        return
    if found.receiver.driver is PSYCOPG2:
        better = "`execute_values()`" if found.verb == "INSERT" else "`execute_batch()`"
        message = f"psycopg2's `executemany()` is a plain loop, no faster than `execute()`; use {better}"
        yield rule.finding(context, node, f"{message} of psycopg2.extras", _fix(found, context))
    elif found.receiver.driver is PYODBC and b"fast_executemany" not in context.source.data:
        name = context.tree.shown(found.on)
        yield rule.finding(
            context,
            node,
            f"pyodbc's `executemany()` sends row by row; set `{name}.fast_executemany = True` before it",
        )


def _few(found: Statement, context: Context) -> bool:
    """Whether the text shows that there are a few rows only."""
    match found.params:
        case [cst.Arg(value=cst.Name() as name), *_]:
            owner = context.scope(name).owner(name.value)
            bindings = context.names.bindings(name)
            value = bindings[0].value if len(bindings) == 1 else None
            reads = context.flow.reads(name.value, owner) if owner is not None else []
            if any(isinstance(context.tree.parent(read), cst.Attribute) for read in reads):
                return False  # `rows.append(..)`
        case [cst.Arg(value=value), *_]:
            pass
        case _:
            return True
    if not isinstance(value, (cst.List, cst.Tuple)) or len(value.elements) > _FEW:
        return False
    return not any(isinstance(item, cst.StarredElement) for item in value.elements)


def _fix(found: Statement, context: Context) -> Fix | None:
    tree = context.tree
    span = tree.span(found.call)
    plain = len(found.params) == 1 and found.params[0].keyword is None and not found.params[0].star
    if not plain or _counted(found, context) or tree.comments(span):
        return None
    parent = tree.parent(found.call)
    if not isinstance(parent, cst.Expr):
        return None
    imported = import_edit(context.source, context.facts.tree, "psycopg2.extras", "execute_batch")
    if imported is None:
        return None
    name, added = imported
    first = tree.span(found.call.args[0]).start
    head = Edit(Span(span.start, first), f"{name}({tree.code(found.on)}, ")
    return Fix(
        "Send the rows in pages",
        tuple(edit for edit in (head, added) if edit is not None),
        Applicability.UNSAFE,
    )


def _counted(found: Statement, context: Context) -> bool:
    """Whether somebody may look at how many rows the cursor wrote: the function, or the file for an attribute."""
    if not isinstance(found.on, cst.Name):
        return b".rowcount" in context.source.data
    block = context.tree.function(found.call) or context.tree.root
    return any(
        isinstance(part, cst.Attribute)
        and part.attr.value == "rowcount"
        and dotted(part.value) == found.on.value
        for part in walk(block)
    )
