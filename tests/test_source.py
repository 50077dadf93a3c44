"""Text survives the way in and out byte for byte, and positions agree with the parser."""

import ast
import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from patience import patient

from perflint.model.source import Position, Source, SourceError


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"x = 1",
        b"x = 1\r\ny = 2\r\n",
        b"x = 1\ry = 2\r",
        codecs.BOM_UTF8 + "é = 1\n".encode(),
        "# coding: latin-1\né = 'ÿ'\n".encode("latin-1"),
        "# -*- coding: cp1252 -*-\r\ns = '€'\r\n".encode("cp1252"),
        b"def f():\n\tpass\n\x0c\nx = 1",
        codecs.BOM_UTF8 + b"# coding: utf-8\nx = 1\n",
    ],
)
def test_bytes_survive_the_round_trip(raw: bytes) -> None:
    source = Source("a.py", raw)
    assert source.raw(source.data) == raw


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"s = '\xff'\n", "is not UTF-8"),
        (b"x\0y", "null bytes"),
        (b"# coding: nonsense\n", "coding line"),
        (b"# coding: ascii\ns = '\xe9'\n", "is not ascii"),
        ("x = 1\n".encode("utf-16"), "8-bit encoding"),
    ],
)
def test_unreadable_text_is_refused_in_one_line(raw: bytes, words: str) -> None:
    with pytest.raises(SourceError, match=words) as error:
        Source("a.py", raw)
    assert "\n" not in str(error.value)


def test_text_that_the_encoding_cannot_hold_is_refused() -> None:
    source = Source("a.py", "# coding: latin-1\nx = 1\n".encode("latin-1"))
    with pytest.raises(SourceError, match="iso-8859-1"):
        source.raw("# coding: latin-1\nx = '€'\n".encode())


@patient
@given(st.text(alphabet="aé€𝒳 \t\f\n", max_size=60))
def test_positions_count_code_points_from_one(text: str) -> None:
    source = Source("a.py", text.encode())
    for index in range(len(text) + 1):
        offset = len(text[:index].encode())
        line = text[:index].count("\n") + 1
        column = index - (text[:index].rfind("\n") + 1) + 1
        assert source.position(offset) == Position(line, column)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_offsets_agree_with_the_parser(newline: str) -> None:
    lines = ["if 1:", "    é = '€', name", "\x0c", "# a comment", "    pass", "name = 2"]
    source = Source("a.py", newline.join(lines).encode())
    for node in ast.walk(ast.parse(source.text)):
        if isinstance(node, ast.Name) and node.id == "name":
            start = source.offset(node.lineno, node.col_offset)
            assert source.slice(start, start + 4) == "name"
