"""A large block of memory is held that nothing reads.

In Go a ballast makes collections rarer, because its collector starts at a multiple of the live bytes.
CPython's starts after so many new containers and knows nothing of bytes: a ballast only takes memory.

Bad:

    _ballast = bytearray(100 << 20)


    def handle(request):
        return request.upper()

Good:

    def handle(request):
        return request.upper()

Reported are names of the module and attributes of `self` that are private or called ballast, with 10 MB or
more of `bytearray(n)`, `b"\\0" * n`, `[None] * n` or `numpy.zeros(n)` by a constant. Where fewer collections are
wanted, raise the threshold: `gc.set_threshold(50_000)`, or `perflint.runtime.tune_for_throughput()`.

Not flagged: a name that occurs anywhere else in the file (read, deleted, bound again, in a string, in
`__all__`), public names, which another module may read, locals, sizes that are computed, tests; with the
option `portable` nothing, because PyPy and the free-threaded CPython 3.14 do look at memory.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.garbage import number
from perflint.analysis.gates import Gate
from perflint.analysis.outline import Home, Outline, leaf
from perflint.analysis.rule import Context, Rule
from perflint.analysis.shown import REPEATED
from perflint.analysis.sketch import Sketch, dotted_text
from perflint.model.diagnostics import Finding, Severity

_LARGE = 10_000_000
_NAMED = re.compile(r"ballast|^_pad(ding)?$|keep_?alive_?mem", re.I)
_ARRAYS = {"numpy.zeros", "numpy.ones", "numpy.empty", "numpy.full"}
_FILLS = {b"\0", b" ", b"x"}


def _hopeful(sketch: Sketch) -> bool:
    for node in (*sketch.of(ast.Assign), *sketch.of(ast.AnnAssign)):
        match node:
            case (
                ast.Assign(targets=[ast.Name(id=name) | ast.Attribute(attr=name)])
                | ast.AnnAssign(target=ast.Name(id=name) | ast.Attribute(attr=name))
            ) if node.value is not None and _for_nobody(name):
                if _is_block(node.value, sketch) and _may_be_large(node.value, sketch):
                    return True
    return False


def _is_block(value: ast.expr, sketch: Sketch) -> bool:
    match value:
        case ast.Call(func=function):
            return dotted_text(function) in {"bytearray", *sketch.facts.written(tuple(_ARRAYS))}
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return any(isinstance(side, (ast.Constant, ast.List)) for side in (left, right))
    return False


def _may_be_large(value: ast.expr, sketch: Sketch) -> bool:
    words = {leaf(part) for part in ast.walk(value)} - {""}
    return _bytes(sketch.facts.about(*words).outline, value) >= _LARGE


def _for_nobody(name: str) -> bool:
    """Whether the name is a private one, or says that nothing is to read it."""
    return bool(name.startswith("_") or _NAMED.search(name)) and not name.startswith("__")


rule = Rule(
    code="PRF804",
    name="memory-ballast",
    summary="a block of memory that nothing reads changes nothing but the memory in use",
    category="gc",
    severity=Severity.INFO,
    since="0.1",
    fix="never",
    gate=Gate(
        text=(b"bytearray(",),
        shown=REPEATED,
        names=tuple(sorted(_ARRAYS)),
        sketch=_hopeful,
    ),
    doc=__doc__,
    benchmark=None,
    tests=False,
)


@rule.visits(cst.Assign, cst.AnnAssign)
def check(node: cst.Assign | cst.AnnAssign, context: Context) -> Iterator[Finding]:
    if (
        context.config.portable
        or node.value is None
        or not isinstance(node.value, (cst.Call, cst.BinaryOperation))
    ):
        return
    target = node.targets[0].target if isinstance(node, cst.Assign) and len(node.targets) == 1 else None
    target = node.target if isinstance(node, cst.AnnAssign) else target
    match target:
        case cst.Name(value=name) if context.scope(node).kind == "module":
            pass
        case cst.Attribute(value=cst.Name(value="self" | "cls"), attr=cst.Name(value=name)):
            pass
        case _:
            return
    outline = context.facts.outline
    if not _for_nobody(name):
        return
    value = outline.once(_values).get(context.tree.span(node).start)
    size = _bytes(outline, value) if value is not None else 0
    if size < _LARGE or outline.once(_mentions)[name] != 1:
        return
    message = (
        f"nothing reads the {size // 1_000_000} MB of `{name}`, and the garbage collector counts objects, not bytes; "
        "drop it"
    )
    yield rule.finding(context, node, message)


def _values(outline: Outline) -> dict[int, ast.expr]:
    """What each assignment of the file assigns, by where the statement starts."""
    found = {}
    for item in ast.walk(outline.facts.tree):
        if isinstance(item, (ast.Assign, ast.AnnAssign)) and item.value is not None:
            found[outline.facts.source.offset(item.lineno, item.col_offset)] = item.value
    return found


def _bytes(outline: Outline, value: ast.expr) -> int:
    """How many bytes the expression surely takes, at the least."""
    match value:
        case ast.Call(func=ast.Name(id="bytearray"), args=[count], keywords=[]):
            shadowed = "bytearray" in outline.facts.shadows or outline.facts.star_import
            return 0 if shadowed else _count(outline, count)
        case ast.BinOp(left=left, op=ast.Mult(), right=right):
            return max(_repeated(outline, left, right), _repeated(outline, right, left))
        case ast.Call(func=function, args=[shape, *_]) if outline.qualified(function) in _ARRAYS:
            items = shape.elts if isinstance(shape, (ast.Tuple, ast.List)) else [shape]
            total = 1
            for item in items:
                total *= _count(outline, item)
            return total if _small_items(value) else total * 8
    return 0


def _count(outline: Outline, node: ast.expr) -> int:
    return max(number(outline, node, Home()) or 0, 0)


def _repeated(outline: Outline, what: ast.expr, times: ast.expr) -> int:
    match what:
        case ast.Constant(value=bytes(fill)) if fill in _FILLS:
            return _count(outline, times)
        case ast.List(elts=[ast.Constant(value=None | 0)]):
            return 8 * _count(outline, times)
    return 0


def _small_items(call: ast.Call) -> bool:
    """Whether a type is given that may take less than eight bytes."""
    return len(call.args) > 1 or any(item.arg not in ("shape", "order") for item in call.keywords)


def _mentions(outline: Outline) -> Counter[str]:
    """How often each name occurs: as a name, an attribute, a word of a string, in a declaration."""
    found: Counter[str] = Counter()
    for item in ast.walk(outline.facts.tree):
        match item:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.alias(name=name) | ast.arg(arg=name):
                found[name] += 1
            case ast.Constant(value=str(text)):
                found.update(re.findall(r"\w+", text))
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                found.update(names)
    return found
