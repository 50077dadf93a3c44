"""One walk over the statements tells which regions are worth a tree."""

import ast
import textwrap

import pytest

from perflint.analysis.facts import Facts
from perflint.analysis.gates import Gate
from perflint.analysis.marks import Mark
from perflint.model.config import Config
from perflint.model.source import Source


def facts_of(code: str) -> Facts:
    source = Source("a.py", textwrap.dedent(code).encode())
    return Facts(source, ast.parse(source.text))


def loop(statement: str) -> Facts:
    return facts_of(f"def f(xs):\n    for x in xs:\n        {statement}\n")


@pytest.mark.parametrize(
    ("statement", "marks"),
    [
        ("n += 1", set()),
        ("n += -1.5", set()),
        ("s += x", {Mark.ADD}),
        ("s |= x", set()),
        ("s -= x", set()),
        ("s = s + x", {Mark.REBIND_ADD}),
        ("self.s = x + self.s", {Mark.REBIND_ADD}),
        ("s = f'{s}{x}'", {Mark.REBIND_TEXT}),
        ("s = '%s%s' % (s, x)", {Mark.REBIND_TEXT}),
        ("s = ''.join([s, x])", {Mark.REBIND_TEXT}),
        ("s = [*s, x]", {Mark.REBIND_DISPLAY}),
        ("s = {**s, x: x}", {Mark.REBIND_DISPLAY}),
        ("s = g(s, x)", set()),
        ("s = s[1:]", set()),
        ("s = dict(s, x=x)", {Mark.REBIND_COPY}),
        ("s = s.union(x)", {Mark.REBIND_COPY}),
        ("s = s | x", {Mark.REBIND_OR}),
        ("s, t = s + x, t + 1", {Mark.REBIND_ADD}),
        ("s = t + x", set()),
        ("s = x", set()),
    ],
)
def test_marks_name_what_grows(statement: str, marks: set[Mark]) -> None:
    assert loop(statement).regions[0].marks == marks


def test_outside_of_loops_nothing_is_marked() -> None:
    assert facts_of("def f(s, x):\n    s = s + x\n    return s\n").regions[0].marks == set()


def test_regions_are_the_outermost_functions_with_their_decorators() -> None:
    facts = facts_of(
        """
        @decorated
        def f():
            def inner(): ...
        class A:
            if True:
                async def method(self): ...
        """
    )
    texts = [facts.source.slice(*region.span) for region in facts.regions]
    assert texts == [
        "@decorated\ndef f():\n    def inner(): ...\n",
        "        async def method(self): ...\n",
    ]
    outside = "".join(facts.source.slice(*part) for part in facts.module.parts)
    assert "def" not in outside and "class A" in outside


def test_a_function_in_a_module_level_loop_belongs_to_the_module() -> None:
    facts = facts_of("for x in xs:\n    def f(): pass\n")
    assert facts.regions == [] and facts.module.loops


def test_module_names_know_what_they_stand_for() -> None:
    facts = facts_of(
        """
        import os.path, numpy as np
        from functools import reduce as fold
        try:
            import json
        except ImportError:
            import simplejson as json
        LIMIT = 3
        def name() -> str: ...
        def change():
            global LIMIT
            import lazily
        """
    )
    assert facts.imported("np") == "numpy"
    assert facts.imported("os") == "os"
    assert facts.imported("fold") == "functools.reduce"
    assert facts.imported("json") is None, "two imports disagree"
    assert facts.constant("LIMIT") is None, "a function rebinds it"
    assert {"numpy", "lazily", "simplejson"} <= facts.packages
    assert "name" in facts.functions


@pytest.mark.parametrize(
    ("gate", "admits"),
    [
        (Gate(text=(b".append(",)), True),
        (Gate(text=(b".append(",), loop=True), True),
        (Gate(text=(b"start",), loop=True), False),
        (Gate(text=(b"start",)), True),
        (Gate(marks=frozenset({Mark.ADD})), False),
        (Gate(text=(b"missing",)), False),
    ],
)
def test_gates(gate: Gate, admits: bool) -> None:
    facts = facts_of(
        "def f(xs):\n    start = []\n    for x in xs:\n        start_less.append(x)\n".replace(
            "start_less", "s"
        )
    )
    assert (facts.regions[0] in gate.admitted(facts)) is admits


def test_a_needle_that_counts_only_beside_an_import() -> None:
    gate = Gate(text=(b".submit(",), beside=(("threading", b".acquire("), ("trio", b".take(")))
    resolved = gate.resolved(Config(), facts_of("import threading\n"))
    assert resolved is not None and resolved.text == (b".submit(", b".acquire(")
    alone = Gate(beside=(("threading", b".acquire("),))
    assert alone.resolved(Config(), facts_of("import queue\n")) is None


def test_a_long_elif_chain_needs_no_recursion() -> None:
    chain = "if x == 0:\n    pass\n" + "".join(f"elif x == {i}:\n    y = {i}\n" for i in range(500))
    assert "y" in facts_of(chain).bindings
