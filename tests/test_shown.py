"""Needles that the text around them tells from others, in every spelling that Python allows."""

import pytest

from perflint.analysis import shown
from perflint.analysis.draft import Draft
from perflint.analysis.shown import Shown
from perflint.model.source import Source


@pytest.mark.parametrize(
    ("shapes", "code", "meant"),
    [
        (shown.FRONTS, "xs.pop(0)", True),
        (shown.FRONTS, "xs . pop ( (0), )", True),
        (shown.FRONTS, "xs.pop(  # first\n    0)", True),
        (shown.FRONTS, "xs.pop(10)", False),
        (shown.FRONTS, "xs.pop()", False),
        (shown.FRONTS, "del xs[0]", True),
        (shown.FRONTS, "del (xs[0])", True),
        (shown.FRONTS, "del xs[1]", False),
        (shown.FRONTS, "xs = xs[1:]", True),
        (shown.FRONTS, "xs = (xs)[ 1:]", True),
        (shown.FRONTS, "ys = xs[1:]", False),
        (shown.FRONTS, "'xs.pop(0)'", False),
        (shown.BUILT_TO_SEARCH, "x in set([1])", True),
        (shown.BUILT_TO_SEARCH, "x not in (frozenset({1}))", True),
        (shown.BUILT_TO_SEARCH, "x in dict.fromkeys(\n    (1,))", True),
        (shown.BUILT_TO_SEARCH, "x = set([1])", False),
        (shown.BUILT_TO_SEARCH, "x in set(xs)", False),
        ((shown.SUM_FROM,), "sum(xs, [])", True),
        ((shown.SUM_FROM,), "sum((f(a, b) for x in xs), start=[])", True),
        ((shown.SUM_FROM,), "sum(f(a, b) for x in xs)", False),
        ((shown.SUM_FROM,), "sum(xs)", False),
        ((shown.BARE_EXCEPT,), "try: ..\n    except : ..", True),
        ((shown.BARE_EXCEPT,), "try: ..\n    except A: ..", False),
        (shown.REPEATED, "x = [None] * n", True),
        (shown.REPEATED, "x = n * [0]", True),
        (shown.REPEATED, "x = b'x' * n", True),
        (shown.REPEATED, "f([0], **x)", False),
    ],
)
def test_shapes(shapes: tuple[Shown, ...], code: str, meant: bool) -> None:
    draft = Draft(Source("a.py", f"def f():\n    {code}\n".encode()))
    assert any(draft.spots(shape).any for shape in shapes) is meant
