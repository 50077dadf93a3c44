"""The law of fixes, with checks made up for the purpose: every finding is a word in the text."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from patience import patient

from perflint.fixing.edits import EditError, Patch, apply
from perflint.fixing.fixer import ROUNDS, Check, Fixed, fix
from perflint.model.diagnostics import Applicability, Edit, Finding, Fix, Severity, Span
from perflint.model.source import Source

SAFE, UNSAFE, DISPLAY = Applicability.SAFE, Applicability.UNSAFE, Applicability.DISPLAY


def edit(start: int, end: int, text: str) -> Edit:
    return Edit(Span(start, end), text)


def finding(at: Span, *edits: Edit, code: str = "PRF999", promise: Applicability = SAFE) -> Finding:
    return Finding(code, "made-up", Severity.INFO, at, f"{code} is here", fix=Fix("mend it", edits, promise))


def words(pattern: str, mend: Callable[[re.Match[bytes]], tuple[Edit, ...]], code: str = "PRF999") -> Check:
    """A check that finds each match of `pattern` and offers the edits that `mend` makes of it."""

    def check(source: Source) -> tuple[Finding, ...]:
        matches = re.finditer(pattern.encode(), source.data)
        return tuple(finding(Span(*match.span()), *mend(match), code=code) for match in matches)

    return check


def swap(pattern: str, text: str, code: str = "PRF999") -> Check:
    return words(pattern, lambda match: (edit(*match.span(), text),), code)


def both(*checks: Check) -> Check:
    return lambda source: tuple(found for check in checks for found in check(source))


def run(text: str | bytes, check: Check, allow: Applicability = SAFE) -> Fixed:
    return fix(Source("x.py", text.encode() if isinstance(text, str) else text), check, allow)


def raw(fixed: Fixed) -> bytes:
    return fixed.source.raw(fixed.source.data)


# apply


def test_apply_sorts_edits_and_counts_equal_ones_once() -> None:
    edits = [edit(4, 5, "Y"), edit(0, 1, "X"), edit(0, 1, "X"), edit(2, 2, "+")]
    assert apply(b"a b c", edits) == b"X +b Y"


@pytest.mark.parametrize(
    ("data", "edits", "reason"),
    [
        (b"abc", [edit(1, 4, "")], "out of bounds"),
        (b"abc", [edit(-1, 1, "")], "out of bounds"),
        (b"abc", [edit(2, 1, "")], "out of bounds"),
        (b"abc", [edit(0, 2, ""), edit(1, 3, "")], "overlap"),
        (b"abc", [edit(0, 3, ""), edit(1, 1, "x")], "overlap"),
        (b"abc", [edit(1, 1, "x"), edit(1, 1, "y")], "overlap"),
        ("é".encode(), [edit(1, 2, "")], "cuts a character"),
        (b"a\r\nb", [edit(2, 2, "x")], "cuts a character or a line end"),
        (b"abc", [edit(0, 1, "\ud800")], "not valid Unicode"),
    ],
)
def test_apply_refuses(data: bytes, edits: list[Edit], reason: str) -> None:
    with pytest.raises(EditError, match=reason):
        apply(data, edits)


def test_apply_writes_the_files_line_ends_and_keeps_copied_ones() -> None:
    assert apply(b"a\r\nb", [edit(0, 1, "x\ny\r\nz")], "\r\n") == b"x\r\ny\r\nz\r\nb"


@st.composite
def edited(draw: st.DrawFn) -> tuple[bytes, list[Edit]]:
    """A text cut into pieces, every other one replaced; some pieces are empty."""
    characters = st.text(st.sampled_from("aé漢🙂\n\t\f "), max_size=6)
    pieces = draw(st.lists(st.tuples(characters, characters, characters), max_size=6))
    data, edits = "", []
    for kept, old, new in pieces:
        data += f"{kept}|"  # the bar keeps pure insertions apart
        start = len(data.encode())
        data += old
        edits.append(edit(start, len(data.encode()), new))
    return data.encode(), draw(st.permutations(edits))


@patient
@given(edited())
def test_apply_leaves_every_byte_outside_the_edits(case: tuple[bytes, list[Edit]]) -> None:
    data, edits = case
    result = apply(data, edits)
    old = new = 0
    for span, text in sorted(edits):
        outside = data[old : span.start]
        assert result[new : new + len(outside)] == outside
        new += len(outside)
        assert result[new : new + len(text.encode())] == text.encode()
        old, new = span.end, new + len(text.encode())
    assert result[new:] == data[old:]


@patient
@given(edited(), st.data())
def test_what_no_edit_touches_is_found_again_where_it_moved(
    case: tuple[bytes, list[Edit]], draws: st.DataObject
) -> None:
    data, edits = case
    patch = Patch(data, edits)
    start = draws.draw(st.integers(0, len(data)))
    span = Span(start, draws.draw(st.integers(start, len(data))))
    before, after = patch.window(span)
    assert before.holds(span)
    inside = [item for item in edits if before.holds(item.span)]
    assert not any(before.overlaps(item.span) for item in edits if item not in inside)
    shifted = [Edit(Span(at.start - before.start, at.end - before.start), text) for at, text in inside]
    assert apply(data[slice(*before)], shifted) == patch.apply()[slice(*after)]


# bytes


@pytest.mark.parametrize(
    "text",
    [
        b"x = 1\r\n\r\nbad\r\n",
        b"\xef\xbb\xbfx = 1\nbad\n",
        b"# coding: latin-1\nx = '\xe9'\nbad # \xfc\n",
        b"\xef\xbb\xbf# coding: utf-8\r\nbad\r\n",
        b"if 1:\n\tx = '\t'  \t\n\tbad\n",
        b"x = 1\n\x0c\nbad\n\x0c",
        b"bad",
        b"x = 1\rbad\r",
        b"x = 1\r\ny = 2\nbad\r\n\n",
        "x = '漢\u2028'\nbad  # 🙂\n".encode(),
        b"#!/usr/bin/python\n# -*- coding: cp1252 -*-\nx = '\x80'\nbad\n",
    ],
)
def test_bytes_outside_the_edit_stay(text: bytes) -> None:
    fixed = run(text, swap("bad", "good"))
    assert raw(fixed) == text.replace(b"bad", b"good")
    assert (len(fixed.applied), fixed.remaining, fixed.defects, fixed.rounds) == (1, (), (), 1)


def test_new_lines_end_as_the_files_lines_do() -> None:
    assert raw(run(b"x = 1\r\nbad", swap("bad", "a\nb"))) == b"x = 1\r\na\r\nb"
    assert raw(run(b"bad", swap("bad", "a\nb"))) == b"a\nb"


def test_a_character_that_the_encoding_lacks_is_a_defect() -> None:
    text = b"# coding: latin-1\nbad = '\xe9'\nworse\n"
    fixed = run(text, both(swap("bad", "漢"), swap("worse", "good", "PRF998")))
    assert raw(fixed) == text.replace(b"worse", b"good")
    assert [defect.code for defect in fixed.defects] == ["PRF001"]
    assert "the fix of PRF999 would break this file" in fixed.defects[0].message
    assert "latin-1" in fixed.defects[0].message or "iso-8859-1" in fixed.defects[0].message


def test_a_moved_coding_line_is_a_defect() -> None:
    check = words("bad", lambda match: (edit(*match.span(), "good"), edit(0, 0, "import a\nimport b\n")))
    fixed = run(b"# coding: latin-1\nx = '\xe9'; bad\n", check)
    assert not fixed.applied
    assert "would break this file" in fixed.defects[0].message


# which fixes


def test_nothing_to_do_returns_the_same_source() -> None:
    source = Source("x.py", b"x = 1\n")
    fixed = fix(source, swap("bad", "good"))
    assert fixed.source is source
    assert fixed == (source, (), (), (), 0)


@pytest.mark.parametrize(
    ("promise", "allow", "applied"),
    [(SAFE, SAFE, 1), (UNSAFE, SAFE, 0), (UNSAFE, UNSAFE, 1), (DISPLAY, UNSAFE, 0), (DISPLAY, DISPLAY, 0)],
)
def test_only_what_is_allowed_is_applied(promise: Applicability, allow: Applicability, applied: int) -> None:
    def check(source: Source) -> tuple[Finding, ...]:
        at = source.data.find(b"bad")
        return (finding(Span(at, at + 3), edit(at, at + 3, "good"), promise=promise),) if at >= 0 else ()

    fixed = run("bad\n", check, allow)
    assert len(fixed.applied) == applied
    assert len(fixed.remaining) == 1 - applied


def test_overlapping_fixes_take_turns() -> None:
    fixed = run("(bad)\n", both(swap(r"\(bad\)", "(bad + 1)", "PRF997"), swap("bad", "good")))
    assert raw(fixed) == b"(good + 1)\n"
    assert fixed.rounds == 2


def test_fixes_whose_edits_interleave_take_turns() -> None:
    """Each was made for the text that the other changes."""

    def around(word: bytes) -> Check:
        def check(source: Source) -> tuple[Finding, ...]:
            places = [match.span() for match in re.finditer(word, source.data)]
            return (
                (finding(Span(*places[0]), *(edit(*at, "x") for at in places), code="PRF9" + word.decode()),)
                if places
                else ()
            )

        return check

    fixed = run("aa; bb; aa; bb\n", both(around(b"aa"), around(b"bb")))
    assert raw(fixed) == b"x; x; x; x\n"
    assert fixed.rounds == 2


def test_an_import_that_two_fixes_need_is_shared() -> None:
    def mend(match: re.Match[bytes]) -> tuple[Edit, ...]:
        add = () if b"import a" in match.string else (edit(0, 0, "import a\n"),)
        return (*add, edit(*match.span(), "a"))

    fixed = run("bad\nbad\nbad\n", words("bad", mend))
    assert raw(fixed) == b"import a\na\na\na\n"
    assert fixed.rounds == 1


def test_different_imports_at_one_place_take_turns() -> None:
    def needs(module: str, word: str) -> Check:
        def mend(match: re.Match[bytes]) -> tuple[Edit, ...]:
            return (edit(0, 0, f"import {module}\n"), edit(*match.span(), module))

        return words(word, mend, f"PRF9{word}")

    fixed = run("11\n22\n", both(needs("a", "11"), needs("b", "22")))
    assert raw(fixed) == b"import b\nimport a\na\nb\n"
    assert fixed.rounds == 2


def test_a_fix_is_done_whole_or_not_at_all() -> None:
    """The second edit is taken, so the first must wait too."""
    greedy = words("one (two)", lambda match: (edit(*match.span(1), "big"),), "PRF998")
    fixed = run(
        "# one two\nx = 1\n",
        both(greedy, words("two", lambda m: (edit(2, 5, "uno"), edit(*m.span(), "dos")))),
    )
    assert raw(fixed) == b"# one big\nx = 1\n"


def test_at_most_ten_rounds() -> None:
    fixed = run("tick\n", both(swap("tick", "tock"), swap("tock", "tick", "PRF998")))
    assert fixed.rounds == ROUNDS == 10
    assert len(fixed.applied) == 10
    assert len(fixed.remaining) == 1


# defects


def test_a_fix_that_breaks_the_file_is_left_out_alone() -> None:
    text = "ok\n" * 3 + "bad\n" + "ok\n" * 3
    fixed = run(text, both(swap("ok", "fine", "PRF998"), swap("bad", "f(")))
    assert raw(fixed) == text.replace("ok", "fine").encode()
    assert len(fixed.applied) == 6
    (defect,) = fixed.defects
    assert (defect.code, defect.name, defect.severity) == ("PRF001", "rule-crashed", Severity.ERROR)
    assert defect.message == "the fix of PRF999 would break this file; left as it was"
    assert fixed.source.slice(*defect.span) == "bad"
    assert [item.code for item in fixed.remaining] == ["PRF999"]


def test_text_that_parses_but_does_not_compile_is_broken() -> None:
    fixed = run("def f():\n    bad\n", swap("bad", "nonlocal q"))
    assert not fixed.applied
    assert "would break" in fixed.defects[0].message


def test_a_file_that_never_compiled_is_still_fixed() -> None:
    fixed = run("return 1\nbad\n", swap("bad", "good"))
    assert raw(fixed) == b"return 1\ngood\n"


def test_invalid_escapes_warn_nobody() -> None:
    assert raw(run("x = '\\d'\nbad\n", swap("bad", "good"))) == b"x = '\\d'\ngood\n"


@pytest.mark.parametrize("text", ["bad", "(bad)", "bad + 1", "list(bad)"])
def test_a_fix_that_leaves_its_finding_standing_is_put_back(text: str) -> None:
    fixed = run("bad\n", swap("bad", text))
    assert raw(fixed) == b"bad\n"
    assert fixed.defects[0].message == "the fix of PRF999 leaves what it should mend; left as it was"
    assert fixed.rounds == 0


def test_a_wrapping_fix_that_settles_nothing_is_put_back() -> None:
    check = words(
        "bad",
        lambda match: (edit(match.start(), match.start(), "list("), edit(match.end(), match.end(), ")")),
    )
    assert raw(run("bad\n", check)) == b"bad\n"


def test_a_neighbour_of_the_same_kind_is_no_sign_of_failure() -> None:
    def first_line(match: re.Match[bytes]) -> tuple[Edit, ...]:
        return (edit(match.start(), match.start() + 4, ""),)

    fixed = run("bad\nbad\nbad\n", words("bad\n", first_line))
    assert raw(fixed) == b""


def test_edits_that_are_not_valid_are_a_defect() -> None:
    fixed = run(
        "bad\nworse\n", both(words("bad", lambda _: (edit(0, 99, ""),)), swap("worse", "good", "PRF998"))
    )
    assert raw(fixed) == b"bad\ngood\n"
    assert "out of bounds" in fixed.defects[0].message


def test_fixes_that_break_the_file_only_together_take_turns() -> None:
    """Two parameters of one name; once the first is written, the second fix is made anew and fits."""

    def check(source: Source) -> tuple[Finding, ...]:
        second = "x" if b"one" in source.data else "y"
        return both(swap("one", "x", "PRF991"), swap("two", second, "PRF992"))(source)

    fixed = run("def f(one, two): pass\n", check)
    assert raw(fixed) == b"def f(x, y): pass\n"
    assert (fixed.rounds, fixed.defects) == (2, ())


@patient
@given(st.lists(st.sampled_from(["ok\n", "bad\n", "stuck\n", "x = 'é'\n"]), max_size=30))
def test_every_good_fix_is_applied_whatever_stands_beside_it(lines: list[str]) -> None:
    text = "".join(lines)
    fixed = run(text, both(swap("ok", "fine", "PRF998"), swap("bad", "f("), swap("stuck", "stuck", "PRF997")))
    assert fixed.source.data.decode() == text.replace("ok", "fine")
    assert len(fixed.defects) == text.count("bad") + text.count("stuck")
    assert {fixed.source.slice(*defect.span) for defect in fixed.defects} <= {"bad", "stuck"}
