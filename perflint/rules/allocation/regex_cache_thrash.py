"""A pattern that changes in every turn of a loop is compiled in it.

`re` keeps the patterns that were compiled last, 512 of them. A loop that makes a new pattern
for each item pays a lookup by the whole text while they fit, and compiles every time once they
do not: far more than the match itself.

Bad:

    import re


    def openings(words, line):
        return [word for word in words if re.match(f"{re.escape(word)}:", line)]

Good:

    def openings(words, line):
        return [word for word in words if line.startswith(f"{word}:")]

Not flagged: patterns that do not depend on a `for` variable, patterns that are looked up
(`patterns[i]`), loops over a few known items or a constant, loops that stop at the first match, compiled patterns that are kept (stored, appended,
returned, collected by a comprehension): that is the cure.

How many patterns there will be cannot be seen in the text, and a handful costs little; so the
rule is in the group `micro`.
"""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from perflint.analysis.gates import Gate
from perflint.analysis.match import names_in
from perflint.analysis.patterns.invariance import dependents, few, inner, repeats
from perflint.analysis.patterns.uses import assigned_name, use
from perflint.analysis.rule import Benchmark, Context, Rule
from perflint.analysis.tree import Comprehension, walk_scope
from perflint.model.diagnostics import Finding, Severity

_CALLS = ("compile", "search", "match", "fullmatch", "split", "findall", "finditer", "sub", "subn")
_NAMES = tuple(f"{module}.{call}" for module in ("re", "regex") for call in _CALLS)

rule = Rule(
    code="PRF224",
    name="regex-cache-thrash",
    summary="a new regular expression is compiled for each item of a loop",
    category="allocation",
    severity=Severity.INFO,
    since="0.1",
    fix="never",
    gate=Gate(names=_NAMES, inner=True),
    doc=__doc__,
    benchmark=Benchmark(
        setup="words = [f'w{i}' for i in range(n)]\nline = 'w7: text'",
        call="openings(words, line)",
        sizes=(100, 400, 1_000),
    ),
    tests=False,
    group="micro",
)


@rule.visits(cst.Call)
def check(node: cst.Call, context: Context) -> Iterator[Finding]:
    qualified = context.names.qualified(node.func)
    if qualified not in _NAMES or not node.args or node.args[0].star:
        return
    pattern = next(
        (arg.value for arg in node.args if arg.keyword and arg.keyword.value == "pattern"), node.args[0].value
    )
    if not inner(context.flow, node) or not _varies(pattern, node, context):
        return
    if qualified.endswith(".compile") and _kept(node, context):
        return
    module = qualified.partition(".")[0]
    size = "512 distinct patterns" if module == "re" else "the size of its cache"
    yield rule.finding(
        context,
        pattern,
        f"pattern text changes every iteration, past {size} `{module}` recompiles each time; "
        "use str methods, one alternation, or cache compiled patterns",
    )


def _varies(pattern: cst.BaseExpression, node: cst.Call, context: Context) -> bool:
    """Whether the text is put together from what a loop over many items gives."""
    # the innermost loop decides: a pattern of the loop around it serves for all turns of this one
    loop = next((item for item in repeats(context.flow, node) if not few(context.flow, item)), None)
    built = _built(pattern, loop, context) if loop is not None else None
    if loop is None or built is None or not names_in(built) & dependents(loop):
        return False
    return not _stops_early(loop, context)


def _stops_early(loop: cst.CSTNode, context: Context) -> bool:
    """Whether the loop looks for the first match in a list of patterns, which is seldom long."""
    if isinstance(loop, cst.For):
        return any(isinstance(part, (cst.Break, cst.Return)) for part in walk_scope(loop.body))
    above = use(context.tree, loop)
    return (
        isinstance(loop, cst.GeneratorExp)
        and above.role == "argument"
        and isinstance(above.node, cst.Call)
        and context.names.builtin(above.node.func) in ("any", "all", "next")
    )


def _built(pattern: cst.BaseExpression, loop: cst.CSTNode, context: Context) -> cst.BaseExpression | None:
    """The expression that puts the text together: the pattern, or what its name is bound to in the loop."""
    match pattern:
        case (
            cst.FormattedString()
            | cst.BinaryOperation(operator=cst.Add() | cst.Modulo())
            | cst.ConcatenatedString()
        ):
            return pattern
        case cst.Call(func=cst.Attribute(value=cst.SimpleString(), attr=cst.Name(value="format"))):
            return pattern
        case cst.Name():
            bindings = context.names.bindings(pattern)
            if (
                len(bindings) == 1
                and bindings[0].value is not None
                and context.flow.inside(bindings[0].node, loop)
            ):
                value = bindings[0].value
                return None if isinstance(value, cst.Name) else _built(value, loop, context)
    return None


def _kept(node: cst.Call, context: Context) -> bool:
    """Whether the compiled pattern outlives the turn: then it is compiled once for many matches."""
    name = assigned_name(context.tree, node)
    if name is None:
        if isinstance(context.tree.parent(node), Comprehension):
            return True
        above = use(context.tree, node)
        # `.match` alone is kept as `pattern` would be
        return (
            above.role != "attribute" or above.node is None or use(context.tree, above.node).role != "called"
        )
    scope = context.scope(node)
    reads = context.flow.reads(name.value, scope)
    if name.value in scope.declared or context.flow.captured(name.value, scope):
        return True
    # one match per compilation, and no loop over texts in between
    return any(
        use(context.tree, read).role != "attribute"
        or context.flow.repeated(read) is not context.flow.repeated(node)
        for read in reads
    )
