"""`struct` packs or unpacks one element in each turn of a loop.

Every call parses its arguments, looks its format up and makes an object of its own, for four or
eight bytes. One call handles a whole run: a format with a count packs and unpacks all elements at
once, `iter_unpack` walks over records, and `array.array` holds numbers of one type.

Bad:

    import struct


    def dump(numbers: list[int]) -> bytes:
        return b"".join(struct.pack("<I", number) for number in numbers)

Good:

    import struct


    def dump(numbers: list[int]) -> bytes:
        return struct.pack(f"<{len(numbers)}I", *numbers)

Not flagged: formats that are no literals or hold text (`s`, `p`), offsets that do not step by
exactly one record, loops that pack or unpack several records or read a file between, a few known
items. `array.array` knows the machine's byte order only; see its `byteswap`.

The fix, for a join over a list that is packed as it is, is unsafe: the call takes as many arguments
as the list has items.
"""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.match import dotted, names_in, plain_args
from perflint.analysis.patterns.steps import Packer, offset_steps, packer, slice_steps
from perflint.analysis.rewrite import replace
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.analysis.tree import Comprehension, walk
from perflint.model.diagnostics import Finding, Fix, Severity

_WORDS = ("pack", "unpack", "unpack_from", "pack_into")


def _hopeful(sketch: Sketch) -> bool:
    calls = sketch.calls_to(*(f"struct.{word}" for word in _WORDS)) + sketch.calls(*_WORDS)
    return any(call.args and not call.keywords for call in set(calls).intersection(sketch.repeated(ast.Call)))


rule = Rule(
    code="PRF230",
    name="struct-per-element",
    summary="`struct` packs or unpacks one element per turn of a loop",
    category="allocation",
    severity=Severity.WARNING,
    since="0.1",
    fix="sometimes",
    gate=Gate(text=(b"pack",), imports=("struct",), sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="numbers = list(range(n))", call="dump(numbers)"),
)

_ONE = re.compile(r"([@=<>!]?)1?([bBhHiIlLqQnNefdP?])")  # a single number
_RECORD = re.compile(r"[@=<>!]?(?:\d*[bBhHiIlLqQnNefdP?x])+")  # no text


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    found = packer(node, context.names)
    if found is None or not _RECORD.fullmatch(found.format):
        return
    loop = context.flow.repeated(node)
    if loop is None or context.flow.bounded(loop) or _others(found, loop, context):
        return
    if isinstance(loop, (cst.For, cst.While)) and context.flow.runs_once(node, loop):
        return
    if found.method == "pack" and _ONE.fullmatch(found.format) and _feeds(found, loop, context):
        yield rule.finding(context, node, _message("pack", found), _fix(found, loop, context))
    elif found.method in ("unpack", "unpack_from") and _walks(found, loop, context):
        yield rule.finding(context, node, _message("unpack", found))
    elif found.method == "pack_into" and _ONE.fullmatch(found.format) and _walks(found, loop, context):
        yield rule.finding(context, node, _message("pack", found), severity=Severity.INFO)


def _message(verb: str, found: Packer) -> str:
    one = _ONE.fullmatch(found.format)
    if one is None:
        return f"`struct.{found.method}` once per record; use iter_unpack"
    run = f'{verb} the whole run (f"{one[1]}{{n}}{one[2]}")'
    unpacked = ", iter_unpack" if verb == "unpack" else ""
    return f"`struct.{found.method}` once per element; {run}{unpacked}, or array.array"


def _others(found: Packer, loop: cst.CSTNode, context: Context) -> bool:
    """Whether the loop has further calls of struct: frames and headers, not a run of one kind."""
    calls = (node for node in walk(loop) if isinstance(node, cst.Call) and node is not found.call)
    return any(other.method != "calcsize" for node in calls if (other := packer(node, context.names)))


def _feeds(found: Packer, loop: cst.CSTNode, context: Context) -> bool:
    """Whether the packed bytes of each turn are only strung together, in every turn."""
    tree, call = context.tree, found.call
    parent = tree.parent(call)
    if isinstance(loop, Comprehension):
        return parent is loop and _joined(loop, context) is not None
    match loop:
        case cst.For(target=target, asynchronous=None) if names_in(target) & names_in(*found.values):
            pass
        case _:
            return False
    if tree.parent(tree.statement(call)) is not loop.body:
        return False
    match parent:
        case cst.AugAssign(target=grown, operator=cst.AddAssign()):
            return _alone(grown, loop)
        case cst.Arg():
            match tree.parent(parent):
                case cst.Call(
                    func=cst.Attribute(value=taker, attr=cst.Name(value="append" | "extend")), args=[_]
                ):
                    return _alone(taker, loop)
    return False


def _alone(taker: cst.CSTNode, loop: cst.CSTNode) -> bool:
    """Whether the loop adds nothing else to what takes the packed bytes."""
    place, uses = dotted(taker), (dotted(node) for node in walk(loop) if isinstance(node, cst.BaseExpression))
    return place is not None and sum(use == place for use in uses) == 1


def _joined(loop: cst.CSTNode, context: Context) -> cst.Call | None:
    """The `b"".join(..)` that takes a comprehension of one plain clause."""
    match loop:
        case cst.GeneratorExp(for_in=clause) | cst.ListComp(for_in=clause):
            if clause.asynchronous is not None or clause.inner_for_in is not None:
                return None
    argument = context.tree.parent(loop)
    match context.tree.parent(argument) if isinstance(argument, cst.Arg) else None:
        case (
            cst.Call(
                func=cst.Attribute(value=cst.SimpleString() as glue, attr=cst.Name(value="join")), args=[_]
            ) as join
        ):
            return join if glue.evaluated_value == b"" else None
    return None


def _walks(found: Packer, loop: cst.CSTNode, context: Context) -> bool:
    """Whether the buffer is gone through record by record, with a fixed step."""
    size = struct.calcsize(found.format)
    match found.method, found.values:
        case "unpack", [cst.Subscript(value=data) as piece]:
            steps = slice_steps(piece, loop, size, context.flow)
        case "unpack_from" | "pack_into", [data, offset, *_]:
            steps = offset_steps(offset, loop, size, context.flow)
        case _:
            return False
    place = dotted(data)
    resets = context.flow.resets(loop) if isinstance(loop, (cst.For, cst.While)) else set()
    return steps and place is not None and place not in resets


def _fix(found: Packer, loop: cst.CSTNode, context: Context) -> Fix | None:
    """`b"".join(struct.pack("<I", x) for x in xs)` -> `struct.pack(f"<{len(xs)}I", *xs)`."""
    tree, one, join = context.tree, _ONE.fullmatch(found.format), _joined(loop, context)
    match loop:
        case cst.GeneratorExp(for_in=clause) | cst.ListComp(for_in=clause) if not clause.ifs:
            pass
        case _:
            return None
    if one is None or join is None or found.bound or tree.comments(tree.span(join)):
        return None
    match clause.target, clause.iter, plain_args(found.call):
        case cst.Name(value=word), cst.Name(value=items) as source, [_, cst.Name(value=packed)] if (
            word == packed
        ):
            if context.kinds.of(source) != "list" or "len" in context.facts.shadows:
                return None
            text = f'{tree.code(found.call.func)}(f"{one[1]}{{len({items})}}{one[2]}", *{items})'
            return Fix("Pack the whole list", (replace(tree, join, text),))
    return None
