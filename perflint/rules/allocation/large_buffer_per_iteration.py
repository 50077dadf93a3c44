"""A large buffer is allocated in every turn of a loop that reads into it.

`bytearray(n)` asks for n bytes and writes a zero into each. From 64 KiB on that costs more than
the call; one buffer, filled again and again through a memoryview, costs nothing.

Bad:

    def size_of(stream):
        total = 0
        while True:
            buffer = bytearray(1 << 20)
            count = stream.readinto(buffer)
            if not count:
                return total
            total += count

Good:

    def size_of(stream):
        total = 0
        buffer = bytearray(1 << 20)
        while True:
            count = stream.readinto(buffer)
            if not count:
                return total
            total += count

Not flagged: buffers under 64 KiB or of unknown size, buffers that leave the turn (stored, yielded,
returned, awaited on, handed to a thread or an unknown function: to reuse one would give every
holder the last content), buffers that nothing is read into (their zeros may matter), `bytes`,
`BytesIO` and arrays.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.match import plain_args
from perflint.analysis.names import Scope
from perflint.analysis.patterns.invariance import recurs
from perflint.analysis.patterns.uses import assigned_name, method, use
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch
from perflint.model.diagnostics import Finding, Severity

_LARGE = 1 << 16
_FILLS = frozenset({"readinto", "readinto1", "recv_into", "recvfrom_into", "recvmsg_into"})


def _hopeful(sketch: Sketch) -> bool:
    sizes = (call.args[0] for call in sketch.looped_calls("bytearray") if len(call.args) == 1)
    large = any(isinstance(size, (ast.Name, ast.BinOp)) or _evaluated(size) for size in sizes)
    return large and bool(sketch.calls(*_FILLS))


rule = Rule(
    code="PRF225",
    name="large-buffer-per-iteration",
    summary="a large bytearray is allocated in every turn of a loop",
    category="allocation",
    severity=Severity.INFO,
    since="0.1",
    fix="never",
    gate=Gate(text=(b"bytearray",), loop=True, sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(
        setup=(
            "block = bytes(1 << 16)\n"
            "class Source:\n"
            "    def __init__(self): self.left = n\n"
            "    def readinto(self, buffer):\n"
            "        self.left -= 1\n"
            "        memoryview(buffer)[:65536] = block\n"
            "        return self.left > 0"
        ),
        call="size_of(Source())",
        sizes=(10, 100),
    ),
    tests=False,
)

_READS = frozenset({"write", "send", "sendall", "update", "extend", "find", "startswith", "endswith", "join"})
_LOOKS = frozenset({"len", "bytes", "int", "bool", "print"})


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    args = plain_args(node, 1)
    if args is None or context.names.builtin(node.func) != "bytearray":
        return
    if (_number(args[0], context) or 0) < _LARGE or not recurs(context.flow, node):
        return
    name = assigned_name(context.tree, node)
    if name is None or context.flow.loop(node) is None:
        return
    scope = context.scope(node)
    uses = _uses(name.value, scope, context)
    if None in uses or "fill" not in uses:
        return
    yield rule.finding(
        context,
        node,
        f"`{context.tree.code(node)}` is allocated and zeroed each iteration; "
        "allocate once and use readinto()/recv_into() with a memoryview",
    )


def _number(node: cst.BaseExpression, context: Context) -> int | None:
    """The value of an integer constant: a literal, a module's constant, or arithmetic on these."""
    match node:
        case cst.Integer(value=value):
            return int(value.replace("_", ""), 0)
        case cst.Name(value=name) if context.scope(node).owner(name) in (None, context.names.top):
            constant = context.facts.constant(name)
            return _evaluated(constant) if constant is not None else None
        case cst.BinaryOperation(operator=cst.Multiply() | cst.LeftShift() | cst.Power()):
            return _evaluated(ast.parse(f"({context.tree.code(node)})", mode="eval").body)
    return None


def _evaluated(node: ast.expr) -> int | None:
    match node:
        case ast.Constant(value=int(value)):
            return value
        case ast.BinOp(left=left, op=operator, right=right):
            one, other = _evaluated(left), _evaluated(right)
            if one is None or other is None or not 0 <= other <= 1 << 32:
                return None
            if isinstance(operator, ast.Mult):
                return one * other
            if isinstance(operator, ast.LShift) and other < 64:
                return one << other
            if isinstance(operator, ast.Pow) and other < 64:
                return one**other if abs(one) < 1 << 16 else None
    return None


def _uses(name: str, scope: Scope, context: Context, depth: int = 2) -> set[str | None]:
    """What is done with a buffer: "fill", "look", or None for anything that may keep it."""
    if (
        scope.kind not in ("function", "module")
        or name in scope.declared
        or context.flow.captured(name, scope)
    ):
        return {None}
    return set().union(*(_use(read, scope, context, depth) for read in context.flow.reads(name, scope)))


def _use(read: cst.Name, scope: Scope, context: Context, depth: int) -> set[str | None]:
    tree = context.tree
    role, node = use(tree, read)
    if role in ("subscript", "compared"):
        return (
            {"look"} if context.kinds.of(read) == "bytearray" or role == "compared" else _slice(node, context)
        )
    if role == "attribute":
        return {"look"} if node is not None and method(tree, tree.parent(node)) in _READS else {None}
    if role != "argument" or not isinstance(node, cst.Call):
        return {None}
    called = method(tree, node)
    awaited = isinstance(tree.parent(node), cst.Await)
    if called in _FILLS and not awaited:
        return {"fill"}
    asynchronous = isinstance(scope.node, cst.FunctionDef) and scope.node.asynchronous is not None
    if called in _READS and not awaited and not asynchronous:
        return {"look"}
    builtin = context.names.builtin(node.func)
    view = assigned_name(tree, node)
    if builtin == "memoryview" and depth:
        return _uses(view.value, scope, context, depth - 1) if view is not None else _use_view(node, context)
    return {"look"} if builtin in _LOOKS else {None}


def _use_view(view: cst.Call, context: Context) -> set[str | None]:
    """What is done with `memoryview(buffer)` on the spot."""
    node: cst.BaseExpression = view
    role, above = use(context.tree, node)
    if role == "subscript" and isinstance(above, cst.Subscript):
        return _slice(above, context)
    filled = role == "argument" and method(context.tree, above) in _FILLS
    return {"fill"} if filled else {None}


def _slice(node: cst.CSTNode | None, context: Context) -> set[str | None]:
    """What is done with a slice of a view, which still shows the buffer."""
    if not isinstance(node, cst.Subscript):
        return {None}
    role, above = use(context.tree, node)
    if role == "argument":
        called = method(context.tree, above)
        return {"fill"} if called in _FILLS else {"look"} if called in _READS else {None}
    return {"look"} if role == "compared" else {None}
