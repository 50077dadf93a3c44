"""Comments that switch findings off, and PRF002 for those that do not."""

import ast
import textwrap
from collections.abc import Callable

import pytest

from perflint.analysis import suppress
from perflint.analysis.facts import Facts
from perflint.fixing.edits import apply
from perflint.model.diagnostics import Applicability, Finding, Severity, Span
from perflint.model.source import Source


def run(
    code: str | bytes,
    *found: tuple[int, str],
    known: Callable[[str], bool] = lambda code: True,
    noqa: bool = True,
) -> tuple[Source, suppress.Suppressed]:
    """Suppress findings at the given lines in `code`."""
    source = Source("a.py", textwrap.dedent(code).encode() if isinstance(code, str) else code)
    findings = []
    for line, rule in found:
        start, end = source.line_span(line)
        start += len(source.data[start:end]) - len(source.data[start:end].lstrip())
        findings.append(Finding(rule, "some-rule", Severity.INFO, Span(start, end), "costs"))
    return source, suppress.apply(Facts(source, ast.parse(source.text)), findings, known, noqa=noqa)


def silenced(code: str, line: int, rule: str = "PRF101") -> bool:
    return bool(run(code, (line, rule))[1].suppressed)


def without_unused(code: str | bytes, *found: tuple[int, str]) -> str:
    source, result = run(code, *found)
    edits = [edit for finding in result.unused if finding.fix for edit in finding.fix.edits]
    return apply(source.data, edits).decode()


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa",
        "# NoQA",
        "# noqa:PRF101",
        "# noqa: E501,PRF101",
        "# noqa: E501 PRF101 because it is small",
        "# noqa: prf101",
        "# noqa: PRF1",
        "# noqa: a reason without codes counts as none",
        "# a word # noqa: PRF101",
        "# type: ignore # perflint: ignore[PRF101]",
        "# perflint: ignore",
        "# perflint:ignore[PRF2, PRF101] small",
        "# perflint: ignore[some-rule]",
    ],
)
def test_the_comment_silences_its_line(comment: str) -> None:
    assert silenced(f"x = 1  {comment}\n", 1)


@pytest.mark.parametrize(
    "comment",
    [
        "# noqa: PRF102",
        "# noqa: E501",
        "#noqa",
        "# perflint: ignore[PRF2]",
        "# perflint: ignore[PRF101",
        "# perflint: ignored",
    ],
)
def test_other_comments_do_not(comment: str) -> None:
    assert not silenced(f"x = 1  {comment}\n", 1)


def test_any_line_of_the_statement_will_do() -> None:
    code = """\
        x = (
            1,  # noqa: PRF101
            2,
        )
        """
    assert all(silenced(code, line) for line in (1, 2, 3, 4))


def test_lines_of_strings_and_backslashes_belong_together() -> None:
    assert silenced('x = """\na\n"""  # noqa\n', 1)
    assert silenced("x = 1 + \\\n    2  # noqa\n", 1)


def test_a_header_silences_itself_alone() -> None:
    code = """\
        @cache
        def f(
            xs,  # noqa
        ):
            for x in xs:  # perflint: ignore
                y = x
        """
    assert silenced(code, 2)
    assert silenced(code, 5)
    assert not silenced(code, 1)
    assert not silenced(code, 6)


def test_statements_after_a_multiline_string_are_found() -> None:
    code = 'x = """\n"""; y = 1  # noqa\nz = 2\n'
    assert silenced(code, 2)
    assert not silenced(code, 3)


def test_strings_are_no_comments() -> None:
    assert not silenced("x = '# noqa'\n", 1)
    assert not silenced('x = """\n# perflint: skip-file\n"""\n', 1)


@pytest.mark.parametrize("comment", ["# perflint: skip-file", "# flake8: noqa", "#  Perflint: skip-file why"])
def test_a_file_can_be_skipped(comment: str) -> None:
    _, result = run(f"import os\n{comment}\nx = 1\n", (1, "PRF101"), (3, "PRF201"))
    assert not result.active
    assert len(result.suppressed) == 2


def test_flake8_skips_files_only_by_a_comment_of_its_own() -> None:
    assert not silenced("x = 1  # flake8: noqa: E501\n", 1)


def test_noqa_can_be_left_to_the_caller() -> None:
    code = "x = 1  # noqa: PRF101\ny = 2  # perflint: ignore[PRF101]\n# flake8: noqa\n"
    _, result = run(code, (1, "PRF101"), (2, "PRF101"), noqa=False)
    assert [finding.span.start for finding in result.active] == [0]
    assert not result.unused


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x = 1  # noqa: PRF102\n", "x = 1\n"),
        ("x = 1  # noqa: PRF102 said why\n", "x = 1\n"),
        ("x = 1  # noqa: PRF101,PRF102\n", "x = 1  # noqa: PRF101\n"),
        ("x = 1  # noqa: PRF102, E501, PRF101\n", "x = 1  # noqa: E501, PRF101\n"),
        ("x = 1  # noqa: PRF102  # type: ignore\n", "x = 1  # type: ignore\n"),
        ("x = 1  # pragma: no cover  # noqa: PRF102\n", "x = 1  # pragma: no cover\n"),
        ("é = 'é'  # é # perflint: ignore[PRF102] é\n", "é = 'é'  # é\n"),
        ("x = 1  # perflint: ignore[PRF101, PRF102] why\n", "x = 1  # perflint: ignore[PRF101] why\n"),
        ("x = 1\n\n    # noqa: PRF102\ny = 2\n", "x = 1\n\ny = 2\n"),
        ("# noqa: PRF102\n# coding of no import\nx = 1\n", "\n# coding of no import\nx = 1\n"),
        ("x = 1\r\n\r\n# noqa: PRF102\r\ny = 2", "x = 1\r\n\r\ny = 2"),
        ("x = 1  # noqa: PRF102", "x = 1"),
    ],
)
def test_unused_ones_are_taken_out(before: str, after: str) -> None:
    line = next(number for number, text in enumerate(before.splitlines(), 1) if "=" in text)
    assert without_unused(before.encode(), (line, "PRF101")) == after


def test_the_bare_ignore_is_unused_where_nothing_is_found() -> None:
    assert without_unused("x = 1  # perflint: ignore\n") == "x = 1\n"
    assert without_unused("x = 1  # perflint: ignore\n", (1, "PRF101")) == "x = 1  # perflint: ignore\n"


def test_unused_is_a_safe_info() -> None:
    source, result = run("x = 1  # noqa: PRF102 PRF201\n")
    (finding,) = result.unused
    assert (finding.code, finding.severity) == ("PRF002", Severity.INFO)
    assert source.slice(*finding.span) == "# noqa: PRF102 PRF201"
    assert finding.fix
    assert finding.fix.applicability is Applicability.SAFE


@pytest.mark.parametrize("comment", ["# noqa", "# noqa: E501", "# noqa: PRF002", "# noqa: ABC123,E1"])
def test_bare_and_foreign_ones_are_never_touched(comment: str) -> None:
    assert not run(f"x = 1  {comment}\n")[1].unused


def test_only_rules_that_ran_are_judged() -> None:
    code = "x = 1  # noqa: PRF102\ny = 2  # perflint: ignore\n"
    assert not run(code, known=lambda code: code == "PRF101")[1].unused


def test_a_file_that_was_not_wholly_checked_is_not_judged() -> None:
    assert not run("x = 1  # noqa: PRF102\n", (1, "PRF001"))[1].unused


def test_unused_can_be_suppressed_itself() -> None:
    assert not run("x = 1  # noqa: PRF102,PRF002\n")[1].unused


def test_two_comments_of_one_statement_are_both_used() -> None:
    code = "x = [  # noqa: PRF101\n    1,  # perflint: ignore[PRF101]\n]\n"
    _, result = run(code, (1, "PRF101"))
    assert result.suppressed
    assert not result.unused


def test_a_file_without_comments_costs_no_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(suppress.tokenize, "generate_tokens", None)
    assert run("x = 'noqa'  # nothing\n", (1, "PRF101"))[1].active
    assert not run("x = 1  # noqa: E501\n")[1].unused


@pytest.mark.parametrize("newline", ["\r\n", "\r"])
def test_line_ends_of_all_kinds(newline: str) -> None:
    code = newline.join(["x = (", "  1,  # noqa", ")", "y = 1", ""]).encode()
    _, result = run(code, (1, "PRF101"), (4, "PRF101"))
    assert (len(result.suppressed), len(result.active)) == (1, 1)
