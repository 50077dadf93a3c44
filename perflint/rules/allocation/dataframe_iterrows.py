"""The rows of a DataFrame are visited with `iterrows()`.

A DataFrame keeps its values by column. `iterrows()` builds a Series for every row: an index, an
array of one type that holds all of its values, and a lookup by label for each of them. It also
changes types on the way: an integer column beside a float one comes out as floats.

Bad:

    import pandas as pd


    def total(frame: pd.DataFrame):
        amount = 0
        for _, row in frame.iterrows():
            amount += row["price"] * row["count"]
        return amount

Good:

    import pandas as pd


    def total(frame: pd.DataFrame):
        amount = 0
        for price, count in zip(frame["price"], frame["count"]):
            amount += price * count
        return amount

Reported as info where the loop uses the row as a whole, with labels that it does not know, or
writes back into the frame. Not flagged: files without pandas, `next(frame.iterrows())`, the
head of a frame. There is no fix: `itertuples()` keeps the types that `iterrows()` changes.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.patterns.uses import use
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.tree import walk
from perflint.model.diagnostics import Finding, Severity

rule = Rule(
    code="PRF232",
    name="dataframe-iterrows",
    summary="`iterrows()` builds a Series for every row of a DataFrame",
    category="allocation",
    severity=Severity.WARNING,
    since="0.1",
    fix="never",
    gate=Gate(text=(b"iterrows",), imports=("pandas",)),
    doc=__doc__,
    benchmark=Benchmark(
        setup=(
            "import pandas as pd\n"
            "frame = pd.DataFrame({'price': [1.5] * n, 'count': [2] * n, 'name': ['x'] * n})"
        ),
        call="total(frame)",
        needs=("pandas",),
    ),
    tests=False,
)

_WRAPPERS = ("enumerate", "tqdm", "track", "progress", "list", "reversed")
_PARTS = ("head", "tail", "sample", "nlargest", "nsmallest")
# What `row.name` means of the Series itself, and not of a column.
_OF_SERIES = ("values", "array", "index", "name", "dtype", "iloc", "loc", "at", "iat", "str", "shape", "size")
_WRITES = ("at", "iat", "loc", "iloc")


@rule.visits(cst.For, cst.CompFor)
def check(node: cst.For | cst.CompFor, context: Context) -> Iterator[Finding]:
    call = _iterrows(node.iter, context)
    if call is None or "pandas" not in context.facts.packages:
        return
    frame = call.func.value  # type: ignore[attr-defined]
    if _head(frame) or (isinstance(node, cst.For) and _first_only(node, call, context)):
        return
    known = not _foreign(frame, context)
    severity = Severity.WARNING if known and _by_label(node, context) else Severity.INFO
    yield rule.finding(
        context,
        call,
        "`iterrows()` builds a Series per row; use `itertuples()`, zip of columns, or a vectorised expression",
        severity=severity,
    )


def _iterrows(node: cst.BaseExpression, context: Context) -> cst.Call | None:
    """The call in a loop's header, perhaps inside `enumerate` or a progress bar."""
    match node:
        case cst.Call(func=cst.Attribute(attr=cst.Name(value="iterrows")), args=[]):
            return node
        case cst.Call(func=function, args=[cst.Arg(value=inner, keyword=None, star=""), *_]):
            return (
                _iterrows(inner, context)
                if context.tree.code(function).rpartition(".")[2] in _WRAPPERS
                else None
            )
    return None


def _head(frame: cst.BaseExpression) -> bool:
    """Whether the frame is cut down first: `frame.head()`, `frame.iloc[:5]`, `frame[:5]`."""
    match frame:
        case cst.Call(func=cst.Attribute(attr=cst.Name(value=name))):
            return name in _PARTS
        case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Slice(upper=cst.Integer()))]):
            return True
    return False


def _first_only(loop: cst.For, call: cst.Call, context: Context) -> bool:
    first = loop.body.body[0] if loop.body.body else None
    return first is not None and context.flow.runs_once(first, loop)


def _foreign(frame: cst.BaseExpression, context: Context) -> bool:
    """Whether the frame comes from a call of something that is surely not pandas."""
    value = context.names.assigned(frame)
    if isinstance(value, cst.Call) and isinstance(value.func, cst.Name):
        qualified = context.names.qualified(value.func) or value.func.value
        return not qualified.startswith("pandas.") and value.func.value[:1].isupper()
    return False


def _by_label(loop: cst.For | cst.CompFor, context: Context) -> bool:
    """Whether all that the loop asks of its row are values by constant labels."""
    whole: cst.CSTNode = loop
    if isinstance(loop, cst.CompFor):
        while isinstance(whole, cst.CompFor):
            whole = context.tree.parent(whole) or whole
    name = _row(loop.target)
    for part in walk(whole):
        match part:
            case cst.Name(value=word) if word == name and not context.flow.inside(part, loop.target):
                if not _value(part, context):
                    return False
            case cst.Subscript(value=cst.Attribute(attr=cst.Name(value=door))) if door in _WRITES:
                if isinstance(context.tree.parent(part), cst.AssignTarget):
                    return False
    return name is not None


def _row(target: cst.BaseExpression) -> str | None:
    match target:
        case cst.Tuple(elements=[_, cst.Element(value=cst.Name(value=name))]):
            return name
        case cst.Tuple(elements=[_, cst.Element(value=cst.Tuple() as pair)]):  # of `enumerate`
            return _row(pair)
    return None


def _value(read: cst.Name, context: Context) -> bool:
    """Whether this use of a row is `row["label"]` or `row.label`."""
    node = use(context.tree, read).node
    match node:
        case cst.Subscript(slice=[cst.SubscriptElement(slice=cst.Index(value=cst.SimpleString()))]):
            return not isinstance(context.tree.parent(node), cst.AssignTarget)
        case cst.Attribute(attr=cst.Name(value=attribute)) if attribute not in _OF_SERIES:
            return use(context.tree, node).role != "called"
    return False
