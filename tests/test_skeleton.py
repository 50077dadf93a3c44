"""What a text shows of its functions, loops and imports, and what it refuses to tell."""

import sys

import pytest

from perflint.analysis.skeleton import Skeleton, Unclear


def shown(text: str) -> tuple[list[str], list[str], list[str]]:
    """The functions, the loops outside of them and those inside, as text."""
    data = text.encode()
    skeleton = Skeleton(data)

    def texts(spans: list[tuple[int, int]]) -> list[str]:
        return [data[slice(*span)].decode() for span in spans]

    inner = [span for function in skeleton.functions for span in skeleton.loops_in(function)]
    return texts(skeleton.functions), texts(skeleton.loops), texts(inner)


def test_functions_go_as_far_as_they_are_indented() -> None:
    first = "@cache\n@other(\n    1,\n)\ndef f(\n    a,\nb):\n    x = [\n1]\n    def inner(): pass\n"
    method = "    async def g(self): return 1\n"
    assert shown(f"{first}\n# more\nclass A:\n{method}    x = 1\n")[0] == [first, method]


def test_loops_have_their_else_and_those_inside_of_them() -> None:
    loop = "for x in y:\n    while x:\n        x -= 1\nelse:\n    z()\n"
    assert shown(f"{loop}elsewhere()\nwhile True: pass\n")[1] == [loop, "while True: pass\n"]
    inside = "    async for x in y:\n        z()\n"
    assert shown(f"def f():\n{inside}\n    # more\n    return 1\n")[2] == [inside]


def test_strings_and_comments_are_no_code() -> None:
    text = "def f():\n    '''\nfor x in y:\n    (\n'''\n    s = \"it's\" 'def' # for (\n    return s\n"
    assert shown(f"{text}g()\n") == ([text], [], [])
    assert Skeleton(b"x = r'a\\\\' + f\"b\" # c").blank == b"x = r''''' + f\"\"\" ###"


def test_lines_inside_of_brackets_end_nothing() -> None:
    text = "def f():\n    x = (1 +\n2)\n    y = 1 + \\\n2\n    return x\n"
    assert shown(f"{text}g()\n")[0] == [text]


def test_a_comprehension_that_starts_a_line_may_count_as_a_loop() -> None:
    assert shown("x = [\n    a\n    for a in b\n]\ny = 1\n")[1] == ["    for a in b\n"]


@pytest.mark.parametrize(
    ("text", "statements"),
    [
        ("import a\nfrom b import (c,\n  d)\n", ["import a", "from b import (c,\n  d)"]),
        ("if x: import a; import b\n", ["import a", "import b"]),
        ("def f():\n    from . \\\n        import a\n", ["from . \\\n        import a"]),
        ("import_ = 1\nreimport = 2\n'import a'\n# import a\n", []),
        ("import a, \\\n    b\n", ["import a, \\\n    b"]),
    ],
)
def test_imports(text: str, statements: list[str]) -> None:
    assert [text[slice(*span)].rstrip() for span in Skeleton(text.encode()).imports()] == statements


def test_names_that_functions_declare_global() -> None:
    text = b"def f():\n    global a, b\n    global c; c = 1\n'global d'\n"
    assert Skeleton(text).global_names() == {"a", "b", "c"}


@pytest.mark.parametrize(
    "text",
    [
        "x = (1\n",
        "x = 1)\n",
        "x = 'a\n",
        'x = """a\n',
        "def f():\n\treturn 1\n",
        "\x0cdef f(): pass\n",
        "x = 1\ry = 2\n",
        "\ufb01eld = 1\n",
        "<<<<<<< HEAD\nx = 1\n",
        "for x in y:\n    def f(): pass\n",
    ],
)
def test_what_the_text_does_not_tell(text: str) -> None:
    with pytest.raises(Unclear):
        Skeleton(text.encode())


@pytest.mark.parametrize(
    ("text", "nested"),
    [
        ('f"{"#"}"', True),
        ("f'{a}{b['c']}'", True),
        ("f'{a}{b[\"c\"]}' + 'd'", False),
        ("f'{a}' 'b'", False),
    ],
)
def test_strings_in_strings_are_nothing_that_a_text_tells(
    text: str, nested: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 12))
    if nested:
        with pytest.raises(Unclear):
            Skeleton(text.encode())
    else:
        assert Skeleton(text.encode()).functions == []
