"""Comments that switch findings off, and those that switch nothing off.

`# noqa` and `# noqa: PRF101` are read as flake8 reads them: any case, codes split by commas or
blanks, a code stands for all that start with it. `# perflint: ignore` and
`# perflint: ignore[PRF101] reason` take rule names too. Both work on every line of the flagged
statement (of a compound statement: of its header). `# perflint: skip-file`, or `# flake8: noqa`
on a line of its own, silences the file.

A `# noqa` inside a string is no comment and counts for nothing; flake8 alone would obey it.
"""

from __future__ import annotations

import ast
import re
import tokenize
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

from perflint.analysis.facts import Facts
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span
from perflint.model.source import Source

UNUSED = "PRF002"
_INCOMPLETE = ("PRF000", "PRF001")  # some rule did not see all of the file

# What decides, on the bytes alone, whether comments must be looked for at all.
_ANY = re.compile(rb"# noqa|#\s*flake8[:=]\s*noqa|#\s*perflint:", re.I)
_OURS = re.compile(rb"# noqa:[^\r\n]*PRF\d|#\s*perflint:", re.I)
_EVERYWHERE = re.compile(
    _OURS.pattern + rb"|#\s*flake8[:=]\s*noqa", re.I
)  # others concern their statement only

_NOQA = re.compile(r"# noqa(?::\s?(?P<codes>(?:[A-Z]+[0-9]+(?:[,\s]+)?)+))?", re.I)
_IGNORE = re.compile(r"#\s*perflint:\s*ignore\b(?:\[(?P<codes>[^\]#]+)\]|(?!\[))", re.I)
_SKIP_FILE = re.compile(r"#\s*perflint:\s*skip-file\b", re.I)
_FLAKE8_FILE = re.compile(r"# flake8[:=]\s*noqa\s*", re.I)
_SEPARATOR = re.compile(r"[,\s]+")


class Suppressed(NamedTuple):
    """The findings parted in two, and PRF002 for each comment that does not earn its keep."""

    active: tuple[Finding, ...]
    suppressed: tuple[Finding, ...]
    unused: tuple[Finding, ...]


def named(source: Source) -> bool:
    """Whether a comment may name one of our rules: where nothing is found, it may be one too many."""
    return _OURS.search(source.data) is not None


def apply(
    facts: Facts,
    findings: Sequence[Finding],
    known: Callable[[str], bool],
    *,
    noqa: bool = True,
) -> Suppressed:
    """Part `findings` by the file's comments.

    `known` tells whether every rule that a code, a name or `default` stands for took part in this
    run; only then can it be called unused. `noqa=False` leaves every `# noqa` to the caller.
    """
    source = facts.source
    worth = _ANY if findings else _OURS
    if not worth.search(source.data):
        return Suppressed(tuple(findings), (), ())
    comments = list(_comments(facts, findings))
    if any(comment.skips_file(noqa) for comment in comments):
        return Suppressed((), tuple(findings), ())
    statements = _Statements([comment for comment in comments if comment.directives(noqa)], noqa)
    parted: tuple[list[Finding], list[Finding]] = [], []
    for finding in findings:
        parted[statements.suppress(source, finding)].append(finding)
    if any(finding.code in _INCOMPLETE for finding in findings):
        return Suppressed(tuple(parted[0]), tuple(parted[1]), ())
    unused = [
        found
        for comment in statements.comments
        for directive in comment.directives(noqa)
        for found in _unused(source, comment, directive, statements, known)
    ]
    kept = [finding for finding in unused if not statements.suppress(source, finding)]
    return Suppressed(tuple(parted[0]), tuple(parted[1]), tuple(kept))


class _Directive(NamedTuple):
    """One instruction in a comment; `span` and `codes_at` are code points of the comment."""

    noqa: bool
    codes: tuple[str, ...]  # empty: everything
    text: str
    span: Span
    codes_at: Span


class _Comment:
    """A comment, and the lines of the statement that it belongs to."""

    def __init__(self, text: str, offset: int, line: int, alone: bool) -> None:
        self.text = text
        self.offset = offset  # in bytes
        self.line = self.first = self.last = line
        self.alone = alone  # nothing else is on its line

    def skips_file(self, noqa: bool) -> bool:
        flake8 = noqa and self.alone and _FLAKE8_FILE.fullmatch(self.text)
        return bool(flake8 or _SKIP_FILE.search(self.text))

    def directives(self, noqa: bool) -> list[_Directive]:
        return [item for item in self._directives if noqa or not item.noqa]

    @cached_property
    def _directives(self) -> list[_Directive]:
        pairs = (
            (pattern is _NOQA, match) for pattern in (_NOQA, _IGNORE) for match in pattern.finditer(self.text)
        )
        return sorted((self._directive(*pair) for pair in pairs), key=lambda item: item.span)

    def _directive(self, noqa: bool, match: re.Match[str]) -> _Directive:
        codes = match["codes"] or ""
        words = (
            word.upper() if re.search(r"\d$", word) else word.lower() for word in _SEPARATOR.split(codes)
        )
        start = match.start("codes")
        return _Directive(
            noqa,
            tuple(filter(None, words)),
            match[0].rstrip(" \t,"),
            Span(*match.span()),
            Span(start, start + len(codes.rstrip(" \t,"))),
        )


class _Statement:
    """What the comments of one statement ask for, and what that did."""

    def __init__(self, last: int) -> None:
        self.last = last
        self.codes: set[str] = set()
        self.noqa = False  # there is one without codes
        self.ignore = False  # there is one without codes
        self.used: set[str] = set()
        self.hit = False

    def suppress(self, finding: Finding) -> bool:
        code = finding.code
        prefixes = {code[:length] for length in range(1, len(code) + 1)}
        used = self.codes & (prefixes | {finding.name})
        # Else a comment that does nothing would hide that very finding.
        ignore = self.ignore and code != UNUSED
        if not (used or self.noqa or ignore):
            return False
        self.used |= used
        self.hit = True
        return True


class _Statements:
    """The statements that carry comments, found by line."""

    def __init__(self, comments: list[_Comment], noqa: bool) -> None:
        self.comments = comments
        self.by_first: dict[int, _Statement] = {}
        for comment in comments:
            statement = self.by_first.setdefault(comment.first, _Statement(comment.last))
            for directive in comment.directives(noqa):
                statement.codes.update(directive.codes)
                statement.noqa |= directive.noqa and not directive.codes
                statement.ignore |= not (directive.noqa or directive.codes)
        self._firsts = sorted(self.by_first)

    def suppress(self, source: Source, finding: Finding) -> bool:
        line = source.line_of(finding.span.start)
        index = bisect_right(self._firsts, line) - 1
        if index < 0:
            return False
        statement = self.by_first[self._firsts[index]]
        return line <= statement.last and statement.suppress(finding)


def _unused(
    source: Source,
    comment: _Comment,
    directive: _Directive,
    statements: _Statements,
    known: Callable[[str], bool],
) -> Iterator[Finding]:
    """PRF002, where the directive is ours and suppressed nothing that it could have."""
    statement = statements.by_first[comment.first]
    if directive.codes:
        idle = [code for code in directive.codes if _idle(code, directive, statement, known)]
    else:
        idle = [] if directive.noqa or statement.hit or not known("default") else [""]
    if not idle:
        return
    kept = [code for code in directive.codes if code not in idle]
    start = comment.offset + len(comment.text[: directive.span.start].encode())
    at = Span(start, start + len(directive.text.encode()))
    what = ", ".join(f"`{code}`" for code in idle) if kept else f"`{directive.text}`"
    yield Finding(
        UNUSED,
        "unused-suppression",
        Severity.INFO,
        at,
        f"{what} suppresses nothing here; remove it",
        fix=_removal(source, comment, directive, kept),
    )


def _idle(code: str, directive: _Directive, statement: _Statement, known: Callable[[str], bool]) -> bool:
    ours = code.startswith("PRF") or not directive.noqa
    return ours and code not in statement.used and not UNUSED.startswith(code) and known(code)


def _removal(source: Source, comment: _Comment, directive: _Directive, kept: list[str]) -> Fix:
    """Take out the codes that do nothing or, where none is left, the directive with its reason."""
    text = comment.text
    if kept:
        between = _SEPARATOR.search(text, *directive.codes_at)
        edit = _edit(comment, directive.codes_at, (between[0] if between else ",").join(kept))
        return Fix("Remove the codes that suppress nothing", (edit,), Applicability.SAFE)
    title = "Remove the comment that suppresses nothing"
    following = text.find("#", directive.span.end)
    if following >= 0:
        return Fix(title, (_edit(comment, Span(directive.span.start, following), ""),), Applicability.SAFE)
    start = len(text[: directive.span.start].rstrip())
    if start:
        return Fix(title, (_edit(comment, Span(start, len(text)), ""),), Applicability.SAFE)
    return Fix(title, (_whole(source, comment),), Applicability.SAFE)


def _edit(comment: _Comment, span: Span, text: str) -> Edit:
    """An edit inside the comment, `span` in its code points."""
    start, end = (comment.offset + len(comment.text[:index].encode()) for index in span)
    return Edit(Span(start, end), text)


def _whole(source: Source, comment: _Comment) -> Edit:
    """Remove the comment, and its line where nothing else is on it."""
    start, end = source.line_span(comment.line)
    # A shorter head could turn a comment of line 3 into a coding line.
    if comment.alone and 2 < comment.line < len(source.line_starts):
        return Edit(Span(start, source.line_starts[comment.line]), "")
    before = source.data[start : comment.offset]
    return Edit(Span(start + len(before.rstrip(b" \t")), end), "")


def _comments(facts: Facts, findings: Sequence[Finding]) -> Iterator[_Comment]:
    """The comments that may hold a directive for one of the findings, or for us to judge; only what has such bytes is
    tokenized: the functions with findings, or top-level statements."""
    source = facts.source
    regions = {facts.region_at(finding.span.start) for finding in findings}
    if all(region.function for region in regions) and not _EVERYWHERE.search(source.data):
        for region in sorted(regions, key=lambda item: item.span):
            if _ANY.search(source.data, *region.span):
                last = source.line_of(region.span.end - 1)
                yield from _tokenized(source, source.line_of(region.span.start), last + 1)
        return
    hits = [source.line_of(match.start()) for match in _ANY.finditer(source.data)]
    heads = (_first_line(node) for node in facts.tree.body if node.col_offset == 0)  # others share a line
    starts = [1, *heads, len(source.line_starts) + 1]
    for index in sorted({bisect_right(starts, line) for line in hits}):
        yield from _tokenized(source, starts[index - 1], starts[index])


def _first_line(node: ast.stmt) -> int:
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef() if node.decorator_list:
            return node.decorator_list[0].lineno
    return node.lineno


_BLANK = {tokenize.NL, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def _tokenized(source: Source, first: int, end: int) -> Iterator[_Comment]:
    """The comments in the lines from `first` up to `end`, each with the lines of its statement."""
    lines = (source.line_text(line) + "\n" for line in range(first, end))
    pending: list[_Comment] = []
    began = 0
    try:
        for token in tokenize.generate_tokens(lambda: next(lines, "")):
            line = token.start[0] + first - 1
            if token.type == tokenize.COMMENT:
                comment = _comment(source, token, line)
                if began:
                    comment.first = began
                    pending.append(comment)
                else:
                    yield comment
            elif token.type == tokenize.NEWLINE:
                for comment in pending:
                    comment.last = line
                yield from pending
                pending, began = [], 0
            elif token.type not in _BLANK:
                began = began or line
    except (tokenize.TokenError, SyntaxError):  # stricter than the parser, on the last line at most
        yield from pending


def _comment(source: Source, token: tokenize.TokenInfo, line: int) -> _Comment:
    before = source.line_text(line)[: token.start[1]]
    offset = source.line_span(line)[0] + len(before.encode())
    return _Comment(token.string, offset, line, not before.strip())
