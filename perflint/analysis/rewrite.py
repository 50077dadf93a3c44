"""Text edits that several rules make. Offsets are the file's; line ends are `\\n` and translated when applied."""

from __future__ import annotations

import libcst as cst

from perflint.analysis.tree import Tree, walk
from perflint.model.diagnostics import Edit, Span

# Expressions that bind looser than an operand or an iterable may.
_LOOSE = (cst.Lambda, cst.IfExp, cst.NamedExpr, cst.Yield, cst.StarredElement)
_LOOSER_THAN_SUM = (*_LOOSE, cst.BooleanOperation, cst.Comparison)


def operand(tree: Tree, node: cst.BaseExpression) -> str:
    """The node's text as the operand of `+`, or where only an `or_test` may stand; in parentheses if need be."""
    return _enclosed(tree, node, _LOOSER_THAN_SUM)


def element(tree: Tree, node: cst.BaseExpression) -> str:
    """The node's text as the element of a display or comprehension, or as the sole argument of a call."""
    return _enclosed(tree, node, (cst.NamedExpr, cst.Yield))


def iterable(tree: Tree, node: cst.BaseExpression) -> str:
    """The node's text after the `in` of a comprehension."""
    return _enclosed(tree, node, _LOOSE)


def _enclosed(tree: Tree, node: cst.BaseExpression, loose: tuple[type[cst.CSTNode], ...]) -> str:
    text = tree.code(node)
    if getattr(node, "lpar", ()):
        return text
    bare = isinstance(
        node, (cst.Tuple, cst.GeneratorExp)
    )  # a call's sole generator has no brackets of its own
    broken = "\n" in text and not _self_contained(node)
    return f"({text})" if bare or broken or isinstance(node, loose) else text


def _self_contained(node: cst.BaseExpression) -> bool:
    """Whether line breaks in the node stand inside brackets or quotes of its own."""
    return isinstance(
        node, (cst.Call, cst.List, cst.Set, cst.Dict, cst.SimpleString, cst.Subscript, cst.BaseComp)
    )


def replace(tree: Tree, node: cst.CSTNode, text: str) -> Edit:
    """Put `text` where `node` stands, its own parentheses included."""
    return Edit(tree.span(node), text)


def statement_lines(tree: Tree, node: cst.BaseStatement) -> Span:
    """The whole lines of a statement, from its indentation to its line end (a trailing comment included)."""
    span = tree.span(node)
    source = tree.source
    first, last = source.line_of(span.start), source.line_of(max(span.end - 1, span.start))
    starts = source.line_starts
    return Span(starts[first - 1], starts[last] if last < len(starts) else len(source.data))


def indentation(tree: Tree, node: cst.BaseStatement) -> str:
    """The white space in front of a statement."""
    lines, span = statement_lines(tree, node), tree.span(node)
    return tree.source.slice(lines.start, span.start)


def insert_after(tree: Tree, node: cst.BaseStatement, statement: str) -> Edit:
    """A new statement on a line of its own after `node`, indented as `node` is."""
    lines = statement_lines(tree, node)
    text = indentation(tree, node) + statement
    ends_line = tree.source.data[lines.start : lines.end].endswith((b"\n", b"\r"))
    return Edit(Span(lines.end, lines.end), f"{text}\n" if ends_line else f"\n{text}")


def remove(tree: Tree, node: cst.BaseStatement) -> Edit:
    """Take a statement's whole lines out. The caller has made sure that no comment is lost."""
    return Edit(statement_lines(tree, node), "")


def indent_unit(tree: Tree, block: cst.IndentedBlock) -> str:
    """What one level of this block is indented by, beyond the statement that it belongs to."""
    return block.indent if block.indent is not None else tree.module.default_indent


def indented(tree: Tree, lines: Span, by: str) -> list[Edit]:
    """One insertion for each of these whole lines, which moves it to the right, comments with them.

    Blank lines stay as they are, and so does what stands inside a string that spans lines.
    """
    source = tree.source
    fixed = _string_lines(tree, lines)
    number, edits = source.line_of(lines.start), []
    while number <= len(source.line_starts) and source.line_starts[number - 1] < lines.end:
        start = source.line_starts[number - 1]
        if number not in fixed and source.line_text(number).strip():
            edits.append(Edit(Span(start, start), by))
        number += 1
    return edits


def swapped_headers(tree: Tree, loop: cst.For, with_: cst.With) -> tuple[Edit, Edit] | None:
    """Put the header of a `with` that is the whole body of a loop before the loop: the two change places.

    None where a comment or a line break stands in either header, or the two blocks are written differently.
    The caller has made sure that the loop's header needs nothing that the `with` binds, nor the other way.
    """
    match loop, with_:
        case cst.For(body=cst.IndentedBlock(body=[only]), orelse=None), cst.With(body=cst.IndentedBlock()):
            pass
        case _:
            return None
    outer, inner = tree.span(loop).start, tree.span(with_).start
    ends = tree.span(loop.iter).end, max(tree.span(item).end for item in with_.items)
    texts = tree.source.slice(outer, ends[0]), tree.source.slice(inner, ends[1])
    bracketed = isinstance(with_.lpar, cst.LeftParen)
    if only is not with_ or bracketed or tree.comments(Span(outer, ends[1])) or "\n" in texts[0] + texts[1]:
        return None
    return Edit(Span(outer, ends[0]), texts[1]), Edit(Span(inner, ends[1]), texts[0])


def _string_lines(tree: Tree, lines: Span) -> set[int]:
    """The lines that begin inside a string."""
    found: set[int] = set()
    for node in walk(tree.root):
        if isinstance(node, (cst.SimpleString, cst.FormattedString)):
            span = tree.span(node)
            if span.start < lines.end and span.end > lines.start:
                first, last = tree.source.line_of(span.start), tree.source.line_of(span.end)
                found.update(range(first + 1, last + 1))
    return found
