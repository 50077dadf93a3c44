"""What each format prints."""

import json
import re
from pathlib import Path

import pytest

from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span
from perflint.model.outcome import Outcome
from perflint.reports import FORMATS, PLAIN, Style
from perflint.reports.frame import DIFF_LINES, diff, frame
from perflint.reports.style import columns, escape, style_for
from perflint.reports.summary import Tally, summary, table

CODE = """\
import os
é = 'é'; out += chunk
done = (
    1,
)
"""


def finding(code: str, marked: str, **changes: object) -> Finding:
    start = code.encode().index(marked.encode())
    span = Span(start, start + len(marked.encode()))
    values = {"severity": Severity.WARNING, "message": "`out` grows; use a list", "payoff": "", "fix": None}
    return Finding("PRF101", "some-rule", span=span, **{**values, **changes})  # type: ignore[arg-type]


def outcome(
    *active: Finding, code: str = CODE, path: str = "src/a.py", suppressed: tuple[Finding, ...] = ()
) -> Outcome:
    return Outcome(path, active, suppressed, code.encode())


def report(name: str, *outcomes: Outcome, style: Style = PLAIN) -> str:
    return "".join(FORMATS[name](outcomes, style))


FIX = Fix(
    "Collect the pieces",
    (Edit(Span(21, 33), "out.append(chunk)"), Edit(Span(0, 0), "import io\n")),
    Applicability.SAFE,
)
GROWS = finding(CODE, "out += chunk", payoff="measured 3x", fix=FIX)
WHOLE = finding(CODE, "(\n    1,\n)", severity=Severity.ERROR)
UNREADABLE = Outcome(
    "b.py", (Finding("PRF000", "unreadable-file", Severity.ERROR, Span(0, 0), "the file is binary"),)
)


def test_text() -> None:
    assert report("text", outcome(GROWS, WHOLE), UNREADABLE) == (
        "src/a.py:2:10: PRF101 `out` grows; use a list\n"
        "  |\n"
        "2 | é = 'é'; out += chunk\n"
        "  |          ^^^^^^^^^^^^\n"
        "  payoff: measured 3x\n"
        "  fix (safe): Collect the pieces\n"
        "    + import io\n"
        "    - é = 'é'; out += chunk\n"
        "    + é = 'é'; out.append(chunk)\n"
        "\n"
        "src/a.py:3:8: PRF101 `out` grows; use a list\n"
        "  |\n"
        "3 | done = (\n"
        "  |        ^\n"
        "\n"
        "b.py:1:1: PRF000 the file is binary\n"
        "\n"
    )


def test_concise() -> None:
    assert report("concise", outcome(GROWS), UNREADABLE) == (
        "src/a.py:2:10: PRF101 `out` grows; use a list\nb.py:1:1: PRF000 the file is binary\n"
    )


def test_json() -> None:
    records = json.loads(report("json", outcome(WHOLE, suppressed=(GROWS,)), UNREADABLE))
    assert [record["suppressed"] for record in records] == [True, False, False]
    assert records[0] == {
        "code": "PRF101",
        "name": "some-rule",
        "severity": "warning",
        "message": "`out` grows; use a list",
        "path": "src/a.py",
        "line": 2,
        "column": 10,
        "end_line": 2,
        "end_column": 22,
        "payoff": "measured 3x",
        "suppressed": True,
        "fix": {
            "title": "Collect the pieces",
            "applicability": "safe",
            "edits": [
                {
                    "line": 2,
                    "column": 10,
                    "end_line": 2,
                    "end_column": 22,
                    "start": 21,
                    "end": 33,
                    "text": "out.append(chunk)",
                },
                {
                    "line": 1,
                    "column": 1,
                    "end_line": 1,
                    "end_column": 1,
                    "start": 0,
                    "end": 0,
                    "text": "import io\n",
                },
            ],
        },
    }
    assert (records[1]["line"], records[1]["end_line"], records[1]["fix"]) == (3, 5, None)
    assert (records[2]["line"], records[2]["end_column"]) == (1, 1)


def test_json_without_findings_is_an_empty_list() -> None:
    assert json.loads(report("json")) == []
    assert json.loads(report("json", Outcome("a.py"))) == []


def test_github() -> None:
    odd = outcome(GROWS, path="a,b:c%.py")
    assert report("github", odd) == (
        "::warning file=a%2Cb%3Ac%25.py,line=2,endLine=2,col=10,endColumn=22,title=PRF101 some-rule"
        "::`out` grows; use a list (measured 3x)\n"
    )
    assert report("github", outcome(WHOLE)).startswith("::error file=src/a.py,line=3,endLine=5,title=")
    broken = finding(CODE, "os", message="100%\nreally\x1b", severity=Severity.INFO)
    assert report("github", outcome(broken)).endswith("::100%25%0Areally\\x1b\n")
    assert report("github", outcome(broken)).startswith("::notice ")


@pytest.mark.parametrize("name", ["text", "concise", "json", "github"])
def test_nothing_from_a_file_reaches_the_terminal_unescaped(name: str) -> None:
    code = "x = '\x1b[31m\x07\u202e' + y\n"
    evil = finding(
        code,
        "'\x1b[31m\x07\u202e'",
        message="\x1b]0;title\x07",
        fix=Fix("\x1b[2J", (Edit(Span(0, 1), "\x1b"),)),
    )
    printed = report(name, outcome(evil, code=code, path="\x1b[1m\udcff.py"))
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", printed)
    printed.encode("utf-8")


def underlined(code: str, marked: str) -> list[str]:
    lines = list(frame(outcome(code=code).source, finding(code, marked).span, PLAIN))  # type: ignore[arg-type]
    return [line.partition("|")[2].removeprefix(" ") for line in lines[1:]]


def test_tabs_are_spaces_and_wide_characters_two_columns() -> None:
    assert underlined("\tx\ty += '中'\n", "y += '中'") == ["    x   y += '中'", "        ^^^^^^^^^"]
    assert underlined("'中中e\u0301' + x\n", "x") == ["'中中e\u0301' + x", "          ^"]


def test_control_characters_keep_the_underline_in_place() -> None:
    assert underlined("'\x0c' + x\n", "x") == ["'\\x0c' + x", "         ^"]


def test_an_empty_span_is_marked() -> None:
    assert underlined("ab\n", "") == ["ab", "^"]


def test_only_a_window_of_a_long_line_is_shown() -> None:
    code = "a" * 3_000_000 + " + mark + " + "b" * 3_000_000
    line, marks = underlined(code, "mark")
    assert len(line) <= 130
    assert line[marks.index("^") :].startswith("mark")
    assert line.startswith("...")
    assert line.endswith("...")


def changes(code: str, *edits: Edit) -> list[str]:
    return list(diff(outcome(code=code).source, Fix("x", edits), PLAIN))[1:]  # type: ignore[arg-type]


def test_a_diff_shows_lines_that_change() -> None:
    assert changes("a\nb\nc\n", Edit(Span(2, 4), "")) == ["  - b"]
    assert changes("a\r\nb\r\n", Edit(Span(0, 1), "x\r\ny")) == ["  - a", "  + x", "  + y"]
    assert changes("\tif x:\n", Edit(Span(1, 3), "IF")) == ["  -     if x:", "  +     IF x:"]


def test_a_long_diff_is_cut() -> None:
    lines = changes("a\n", Edit(Span(0, 1), "\n".join("b" * 50)))
    assert len(lines) == DIFF_LINES + 1
    assert lines[-1].strip() == "..."


def test_colours_and_links() -> None:
    printed = report("text", outcome(GROWS), style=Style(colour=True, links=True))
    assert "\x1b]8;;file://" in printed
    assert Path("src/a.py").absolute().as_posix() in printed
    stripped = re.sub(r"\x1b\]8;;.*?\x1b\\|\x1b\[[\d;]*m", "", printed)
    assert stripped == report("text", outcome(GROWS))


@pytest.mark.parametrize(
    ("terminal", "environment", "style"),
    [
        (True, {}, Style(True, True)),
        (True, {"NO_COLOR": "1"}, PLAIN),
        (True, {"NO_COLOR": ""}, Style(True, True)),
        (True, {"TERM": "dumb"}, PLAIN),
        (False, {}, PLAIN),
        (False, {"FORCE_COLOR": "1"}, Style(True, False)),
        (False, {"FORCE_COLOR": "1", "NO_COLOR": "1"}, PLAIN),
    ],
)
def test_when_to_colour(terminal: bool, environment: dict[str, str], style: Style) -> None:
    assert style_for(terminal, environment) == style


def test_escape_and_columns() -> None:
    assert escape("é\n\x1b\x85\udcff") == r"é\n\x1b\x85\udcff"
    assert columns("aé中\u0301") == 4


def tally(*outcomes: Outcome) -> Tally:
    counted = Tally()
    assert list(counted.through(outcomes)) == list(outcomes)
    return counted


def test_summary() -> None:
    unsafe = finding(CODE, "os", fix=Fix("x", (), Applicability.UNSAFE))
    counted = tally(outcome(GROWS, WHOLE, unsafe, suppressed=(WHOLE,)), UNREADABLE, Outcome("c.py"))
    assert summary(counted, "1.2 s", PLAIN) == (
        "PRF101 3, PRF000 1\n"
        "4 findings (2 errors, 2 warnings) in 2 of 3 files, 1.2 s; 1 suppressed\n"
        "`perflint fix` fixes 1 safely, 1 more with `--unsafe-fixes`\n"
    )
    assert table(counted, PLAIN) == "3  PRF101  some-rule, 2 fixable\n1  PRF000  unreadable-file\n"


def test_summary_of_a_clean_run() -> None:
    assert summary(tally(Outcome("a.py")), "0.0 s", PLAIN) == "No findings in 1 file, 0.0 s\n"


def test_what_fails() -> None:
    assert tally(outcome(GROWS)).fails(Severity.WARNING)
    assert not tally(outcome(GROWS)).fails(Severity.ERROR)
    assert not tally(Outcome("a.py", suppressed=(WHOLE,))).fails(Severity.INFO)


def test_a_huge_hunk_is_not_compared() -> None:
    lines = changes("a\n" * 2000, Edit(Span(0, 4000), "b\n" * 2000))
    assert lines[:2] == ["  - a", "  - a"]
    assert len(lines) == DIFF_LINES + 1
