"""A generator expression goes to a call that needs all of its items at once.

`str.join` and `sorted` turn what they are given into a list first, `tuple` and `list.extend`
take it in whole. A generator saves no memory there, and each of its items costs a switch into
the generator's frame and back; a list comprehension is filled without one.

Bad:

    def line(fields):
        return ",".join(field for field in fields)

Good:

    def line(fields):
        return ",".join([field for field in fields])

Not flagged: `any`, `all`, `next`, `sum`, `min`, `max` (they may stop early or need one item at
a time), asynchronous generators, generators that hold a comment, receivers that are not known
to be lists (`extend`). The gain is small where the items are dear; the rule is in the group
`micro`.

The fix is unsafe where the items call functions (a StopIteration from one becomes a
RuntimeError inside a generator only), for `extend` (it keeps the items added before an
exception), for `join` of an unknown object, and where a later argument runs code. `tuple`
needs the room for the list beside the tuple for a moment.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.match import contains, simple
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.tree import walk
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span

rule = Rule(
    code="PRF210",
    name="genexp-fully-materialised",
    summary="a generator expression where all items are needed at once",
    category="allocation",
    severity=Severity.INFO,
    since="0.1",
    fix="sometimes",
    gate=Gate(text=(b"join(", b"tuple(", b"sorted(", b"extend(")),
    doc=__doc__,
    benchmark=Benchmark(setup="fields = ['x' * 7] * n", call="line(fields)"),
    group="micro",
)

# What these see differs between a generator's frame and that of a comprehension.
_FRAME_READERS = frozenset({"locals", "vars", "eval", "exec", "dir", "super"})
_TEXT = ("str", "bytes", "bytearray")


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    if not node.whitespace_after_func.empty:  # the gate looks for `join(`
        return
    match node.args:
        case [cst.Arg(value=cst.GeneratorExp() as generator, keyword=None, star=""), *rest]:
            pass
        case _:
            return
    consumer = _consumer(node, rest, context)
    if consumer is None or _unfit(generator, context):
        return
    yield rule.finding(
        context,
        generator,
        f"`{consumer}` consumes the generator at once; a list comprehension is faster",
        _fix(node, generator, consumer, rest, context),
    )


def _consumer(node: cst.Call, rest: list[cst.Arg], context: Context) -> str | None:
    """The callee, if it is one that takes in all items before it goes on."""
    match node.func:
        case cst.Name(value="tuple" | "sorted" as name) as function if (
            context.names.builtin(function) == name
        ):
            keywords = all(arg.keyword is not None for arg in rest)
            return name if not rest or (name == "sorted" and keywords) else None
        case cst.Attribute(value=owner, attr=cst.Name(value="extend" as name)) if not rest:
            return name if context.kinds.of(owner) == "list" else None
        case cst.Attribute(value=owner, attr=cst.Name(value="join" as name)) if not rest:
            # a path has a `join` too, and a thread
            return (
                name if context.kinds.of(owner) in (*_TEXT, None) and not _imported(owner, context) else None
            )
    return None


def _imported(owner: cst.BaseExpression, context: Context) -> bool:
    return context.names.qualified(owner) is not None


def _unfit(generator: cst.GeneratorExp, context: Context) -> bool:
    if context.tree.comments(context.tree.span(generator)):
        return True
    first = generator.for_in.iter
    clauses = [
        part for part in walk(generator) if isinstance(part, cst.CompFor) and part.asynchronous is not None
    ]
    # `await` outside of the first iterable makes the generator asynchronous: the call raises
    awaits = [part for part in walk(generator) if isinstance(part, cst.Await)]
    late = any(not context.flow.inside(part, first) for part in awaits)
    return bool(clauses) or late or contains(generator, cst.NamedExpr, cst.Yield)


def _fix(
    node: cst.Call, generator: cst.GeneratorExp, consumer: str, rest: list[cst.Arg], context: Context
) -> Fix | None:
    names = {part.value for part in walk(generator) if isinstance(part, cst.Name)}
    if names & _FRAME_READERS:
        return None
    if generator.lpar:  # `tuple(((x for x in xs)))` too
        left, right = context.tree.span(generator.lpar[-1]), context.tree.span(generator.rpar[0])
        edits = Edit(left, "["), Edit(right, "]")
    else:
        start, end = context.tree.span(generator)
        edits = Edit(Span(start, start), "["), Edit(Span(end, end), "]")
    safe = consumer != "extend" and _quiet(generator, context) and all(simple(arg.value) for arg in rest)
    if isinstance(node.func, cst.Attribute):
        safe = safe and context.kinds.of(node.func.value, strict=True) in _TEXT
    applicability = Applicability.SAFE if safe else Applicability.UNSAFE
    return Fix("Use a list comprehension", edits, applicability)


def _quiet(generator: cst.GeneratorExp, context: Context) -> bool:
    """Whether no call in the items can raise StopIteration."""
    first = generator.for_in.iter
    calls = (part for part in walk(generator) if isinstance(part, cst.Call))
    return all(context.flow.inside(call, first) or _harmless(call, context) for call in calls)


def _harmless(call: cst.Call, context: Context) -> bool:
    match call.func:
        case cst.Name() as function:
            return context.names.builtin(function) in _CONVERSIONS
        case cst.Attribute(value=owner):
            return context.kinds.of(owner, strict=True) in _TEXT
    return False


_CONVERSIONS = frozenset(
    {
        "str",
        "repr",
        "ascii",
        "chr",
        "ord",
        "hex",
        "oct",
        "bin",
        "int",
        "float",
        "bool",
        "len",
        "format",
        "abs",
    }
    | {"round", "isinstance", "issubclass", "type", "id", "hash", "callable"}
)
