"""What a loop writes one by one, as one expression: the rows that move into a generator, list or batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import libcst as cst

from perflint.analysis import rewrite
from perflint.analysis.database.purity import pure
from perflint.analysis.flow import bound_names
from perflint.analysis.match import contains, names_in
from perflint.analysis.patterns.invariance import reads_in
from perflint.analysis.tree import Comprehension

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_INVERSE: dict[type[cst.BaseCompOp], str] = {
    cst.Is: "is not",
    cst.IsNot: "is",
    cst.In: "not in",
    cst.NotIn: "in",
}


class Rows(NamedTuple):
    """The rows of a loop, in its order."""

    element: str  # what is written for one item
    clause: str  # `for u in users if u.ok`
    iterable: str  # what the loop runs over
    whole: bool  # whether each item is a row as it is, and none is left out
    inlined: bool  # whether a local of the body moved into the element: what raises first may change
    lazy: bool  # whether a generator of them may stand in a plain call: no `async for`

    def generator(self) -> str:
        """As the sole or one of several arguments."""
        return self.iterable if self.whole else f"({self.element} {self.clause})"

    def listed(self, context: Context, at: cst.CSTNode) -> str:
        """All of them at once."""
        if self.whole and self.lazy and context.names.means_builtin("list", context.scope(at)):
            return f"list({self.iterable})"
        return f"[{self.element} {self.clause}]"


def rows_of(
    context: Context,
    loop: cst.CSTNode,
    arguments: Sequence[cst.Arg],
    last: Sequence[cst.CSTNode],
    apart: bool = False,
) -> Rows | None:
    """The rows that a loop writes, whose body is `last` (small statements) and nothing else that acts.

    `arguments` are what one turn hands to the database: the row, or with `apart` its values one by one.
    Before `last`, the body may leave items out by pure tests, and name pure values that are used once.
    None where anything else happens, where a comment would be lost, or where names would change.
    """
    elements = _Elements(tuple(arguments), apart)
    if isinstance(loop, Comprehension):
        return _of_comprehension(context, loop, elements)
    if not isinstance(loop, cst.For) or loop.orelse is not None:
        return None
    body = _Body(context, loop)
    if not body.read(loop.body, last) or not _movable(context, loop, body):
        return None
    if not elements.movable(context) or not body.once(elements):
        return None
    source = rewrite.iterable(context.tree, loop.iter)
    word = "async for" if loop.asynchronous is not None else "for"
    clause = " ".join(
        [f"{word} {context.tree.code(loop.target)} in {source}", *map(body.condition, body.tests)]
    )
    whole = not body.tests and elements.are(loop.target) and loop.asynchronous is None
    return Rows(
        body.element(elements),
        clause,
        context.tree.code(loop.iter) if _argument(loop.iter) else source,
        whole,
        bool(body.values),
        loop.asynchronous is None,
    )


class _Elements(NamedTuple):
    """What one turn hands to the database."""

    arguments: tuple[cst.Arg, ...]
    apart: bool

    def movable(self, context: Context) -> bool:
        stars = "*" if self.apart else ""
        plain = all(item.keyword is None and item.star in ("", stars) for item in self.arguments)
        return plain and bool(self.arguments) and all(pure(context, item.value) for item in self.arguments)

    def are(self, target: cst.BaseExpression) -> bool:
        """Whether they are the loop's item, just as it is."""
        match target, self.arguments:
            case cst.Name(value=name), [cst.Arg(value=cst.Name(value=element), star=star)]:
                return name == element and star == ("*" if self.apart else "")
        return False


def _of_comprehension(context: Context, loop: cst.BaseComp, elements: _Elements) -> Rows | None:
    clause = loop.for_in
    if clause.inner_for_in is not None or context.tree.comments(context.tree.span(loop)):
        return None
    if not elements.movable(context) or not all(pure(context, item.test) for item in clause.ifs):
        return None
    body = _Body(context, loop)
    source = rewrite.iterable(context.tree, clause.iter)
    whole = not clause.ifs and elements.are(clause.target) and clause.asynchronous is None
    return Rows(
        body.element(elements),
        context.tree.code(clause).strip(),
        source,
        whole,
        False,
        clause.asynchronous is None,
    )


def _argument(node: cst.BaseExpression) -> bool:
    """Whether the expression may stand as an argument just as it is written."""
    bare = isinstance(node, (cst.Tuple, cst.GeneratorExp, cst.Yield, cst.NamedExpr, cst.StarredElement))
    return not bare or bool(getattr(node, "lpar", ()))


def _movable(context: Context, loop: cst.For, body: _Body) -> bool:
    """Whether the loop's names may become a comprehension's: nobody else reads them, no comment stands inside."""
    scope = context.scope(loop)
    span = context.tree.span(loop)
    if scope.kind == "class" or context.tree.comments(span) or contains(loop.iter, cst.Yield):
        return False
    if not context.flow.loop_variable_unread(loop, scope):
        return False
    return not any(context.flow.reads_after(name, scope, loop) for name in body.values) and (
        not body.values or scope.kind == "function"
    )


class _Body:
    """The tests and named values in front of a loop's last statements."""

    def __init__(self, context: Context, loop: cst.CSTNode) -> None:
        self.context = context
        self.tree = context.tree
        self.targets = bound_names(loop.target) if isinstance(loop, cst.For) else set()
        self.tests: list[tuple[cst.BaseExpression, bool]] = []  # False: the item is left out where it holds
        self.values: dict[str, cst.BaseExpression] = {}

    def read(self, block: cst.BaseSuite, last: Sequence[cst.CSTNode]) -> bool:
        """Whether the block is tests, values and then `last`."""
        items: list[cst.CSTNode] = []
        for item in block.body:
            items.extend(item.body if isinstance(item, cst.SimpleStatementLine) else [item])
        if items[-len(last) :] == list(last):
            return all(self._step(item) for item in items[: -len(last)])
        match items[-1]:
            case cst.If(test=test, body=inner, orelse=None) if pure(self.context, test):
                if all(self._step(item) for item in items[:-1]):
                    self.tests.append((test, True))
                    return self.read(inner, last)
        return False

    def _step(self, item: cst.CSTNode) -> bool:
        match item:
            case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))], value=value):
                if name in self.values or name in self.targets or not pure(self.context, value):
                    return False
                if name in names_in(value):
                    return False
                self.values[name] = value
                return True
            case cst.If(test=test, body=inner, orelse=None) if pure(self.context, test):
                self.tests.append((test, False))
                return _is_continue(inner)
        return False

    def once(self, elements: _Elements) -> bool:
        """Whether each named value is used at exactly one place, so that it can stand there itself."""
        tests = (test for test, _ in self.tests)
        places = [*(item.value for item in elements.arguments), *tests, *self.values.values()]
        uses = [read for place in places for read in reads_in(place) if read.value in self.values]
        counts = Counter(read.value for read in uses)
        quoted = any(
            isinstance(above, cst.FormattedString) for read in uses for above in self.tree.ancestors(read)
        )
        return not quoted and all(counts[name] == 1 for name in self.values)

    def element(self, elements: _Elements) -> str:
        match elements.arguments:
            case [cst.Arg(value=value, star=star)] if star or not elements.apart:
                return self.text(value)
            case [cst.Arg(value=value)]:
                return f"({self.text(value)},)"
        return f"({', '.join(item.star + self.text(item.value) for item in elements.arguments)})"

    def text(self, node: cst.BaseExpression) -> str:
        """The expression with the named values in their places."""
        code = rewrite.element(self.tree, node)
        uses = [read for read in reads_in(node) if read.value in self.values]
        if not uses:
            return code
        start = self.tree.span(node).start
        raw = self.tree.source.data[start : self.tree.span(node).end]
        for use in sorted(uses, key=lambda read: -self.tree.span(read).start):
            span = self.tree.span(use)
            value = self._operand(use)
            raw = raw[: span.start - start] + value.encode() + raw[span.end - start :]
        return raw.decode()

    def _operand(self, use: cst.Name) -> str:
        """A named value where its name stood; in parentheses wherever they might matter."""
        value = self.values[use.value]
        text = self.text(value)
        atom = isinstance(value, (cst.Name, cst.Attribute, cst.Subscript, cst.Call, cst.SimpleString))
        alone = isinstance(self.tree.parent(use), (cst.Element, cst.DictElement, cst.Arg))
        enclosed = bool(getattr(value, "lpar", ()))
        loose = isinstance(value, (cst.Tuple, cst.StarredElement))
        return text if enclosed or atom or (alone and not loose) else f"({text})"

    def condition(self, test: tuple[cst.BaseExpression, bool]) -> str:
        node, wanted = test
        text = self.text(node)
        if wanted:
            return f"if ({text})" if isinstance(node, (cst.IfExp, cst.Lambda)) else f"if {text}"
        match node:
            case cst.UnaryOperation(operator=cst.Not(), expression=inner):
                return f"if {self.text(inner)}"
            case cst.Comparison(
                left=left, comparisons=[cst.ComparisonTarget(operator=sign, comparator=right)]
            ):
                word = _INVERSE.get(type(sign))
                if word is not None and not node.lpar:
                    return f"if {self.text(left)} {word} {self.text(right)}"
        loose = isinstance(node, (cst.BooleanOperation, cst.IfExp)) and not node.lpar
        return f"if not ({text})" if loose else f"if not {text}"


def _is_continue(block: cst.BaseSuite) -> bool:
    match block:
        case cst.IndentedBlock(body=[cst.SimpleStatementLine(body=[cst.Continue()])]):
            return True
        case cst.SimpleStatementSuite(body=[cst.Continue()]):
            return True
    return False
