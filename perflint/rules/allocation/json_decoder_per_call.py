"""`json.loads` with options is called in a loop.

Without options `json.loads` uses one decoder that the module keeps. With any of `object_hook`,
`object_pairs_hook`, `parse_float`, `parse_int`, `parse_constant`, `strict` or `cls` it builds a
JSONDecoder, and its scanner, for this one text.

Bad:

    import json
    from decimal import Decimal


    def read(lines):
        return [json.loads(line, parse_float=Decimal) for line in lines]

Good:

    import json
    from decimal import Decimal

    _decode = json.JSONDecoder(parse_float=Decimal).decode


    def read(lines):
        return [_decode(line) for line in lines]

`JSONDecoder.decode` takes str only: decode bytes first (`json.loads` takes both).

Not flagged: calls without options, options that depend on the loop, `**options`, `json.load`
(one file each), `json.dumps`, other JSON libraries, code outside of loops.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.patterns.invariance import needless
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.sketch import Sketch, is_constant
from perflint.model.diagnostics import Finding, Severity

_OPTIONS = frozenset(
    {"object_hook", "object_pairs_hook", "parse_float", "parse_int", "parse_constant", "strict", "cls"}
)


def _hopeful(sketch: Sketch) -> bool:
    calls = set(sketch.calls_to("json.loads")).intersection(sketch.repeated(ast.Call))
    options = ([word.arg for word in call.keywords if not is_constant(word.value, None)] for call in calls)
    return any(words and _OPTIONS.issuperset(words) for words in options)


rule = Rule(
    code="PRF222",
    name="json-decoder-per-call",
    summary="`json.loads` with options builds a decoder on every call",
    category="allocation",
    severity=Severity.INFO,
    since="0.1",
    fix="never",
    gate=Gate(names=("json.loads",), sketch=_hopeful),
    doc=__doc__,
    benchmark=Benchmark(setup="""lines = ['{"a": 1.5}'] * n""", call="read(lines)"),
    tests=False,
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    options = {arg.keyword.value: arg.value for arg in node.args if arg.keyword is not None}
    given = {key: value for key, value in options.items() if not _absent(value)}
    if not given or not given.keys() <= _OPTIONS or any(arg.star for arg in node.args):
        return
    if context.names.qualified(node.func) != "json.loads":
        return
    if not needless(context.flow, node, given.values()):
        return
    words = ", ".join(f"{key}=..." for key in given if key != "cls")
    maker = context.tree.code(given["cls"]) if "cls" in given else "json.JSONDecoder"
    shown = ", ".join(f"{key}=..." for key in given)
    yield rule.finding(
        context,
        node,
        f"`json.loads(..., {shown})` builds a JSONDecoder per call; keep one `{maker}({words}).decode`",
    )


def _absent(value: cst.BaseExpression) -> bool:
    return isinstance(value, cst.Name) and value.value == "None"
