"""Where the nodes of a LibCST tree stand in its text.

The spans are those of LibCST's ByteSpanPositionProvider (`tests/test_tree.py` compares them node by node) at a quarter of its
price: LibCST's own code generator runs over the tree, but nothing is kept of what it writes, and lengths are counted in characters where
the text is ASCII. Only this module knows how LibCST generates code.
"""

from __future__ import annotations

from types import TracebackType

import libcst as cst
from libcst._nodes.internal import CodegenState

Extent = tuple[int, int]  # the first byte, and the one behind the last


class Extents:
    """The bytes of every node of a tree but white space, without the white space and parentheses that LibCST lets it own."""

    def __init__(self, module: cst.Module, ascii_only: bool) -> None:
        state = (_Positions if ascii_only else _Bytes)(module.default_indent, module.default_newline)
        module._codegen(state)
        self._found = state.found
        self.comments = state.comments  # where they start

    def __getitem__(self, node: cst.CSTNode) -> Extent:
        found = self._found[id(node)]
        return found >> _BITS, found & _END


_BITS = 32  # of an end; below the start they make one number, which takes a third of a pair's memory
_END = (1 << _BITS) - 1
_WHITE = frozenset(
    {
        cst.SimpleWhitespace,
        cst.ParenthesizedWhitespace,
        cst.TrailingWhitespace,
        cst.EmptyLine,
        cst.Newline,
        cst.Comment,
    }
)  # half of all nodes, and nobody asks where they are


class _Positions(CodegenState):
    """Counts what is written instead of keeping it."""

    def __init__(self, indent: str, newline: str) -> None:
        # some token, because a module writes a newline where it finds none
        super().__init__(default_indent=indent, default_newline=newline, tokens=[""])
        self.position = 0
        self.found: dict[int, int] = {}  # start and end by the node's id: its hash is a function of Python
        self.comments: list[int] = []
        self._starts: list[int] = []

    def add_indent_tokens(self) -> None:
        for token in self.indent_tokens:
            self.position += len(token)  # blanks and tabs

    def add_token(self, value: str) -> None:
        self.position += len(value)

    def before_codegen(self, node: cst.CSTNode) -> None:
        self._starts.append(self.position)

    def after_codegen(self, node: cst.CSTNode) -> None:
        start = self._starts.pop()
        kind = node.__class__
        if kind not in _WHITE:
            self.found.setdefault(
                id(node), start << _BITS | self.position
            )  # some tell more exactly what is their own
        elif kind is cst.Comment:
            self.comments.append(start)

    def record_syntactic_position(  # type: ignore[override]  # a generator of LibCST's costs twice as much
        self, node: cst.CSTNode, *, start_node: cst.CSTNode | None = None, end_node: cst.CSTNode | None = None
    ) -> _Recorded:
        return _Recorded(self, node, start_node, end_node)


class _Bytes(_Positions):
    """The same for text that is not all ASCII."""

    def add_token(self, value: str) -> None:
        self.position += len(value.encode())


class _Recorded:
    """Books what is written meanwhile as the node's, from the start of one of its parts and to the end of another if given."""

    __slots__ = ("at", "first", "last", "node", "state")

    def __init__(
        self, state: _Positions, node: cst.CSTNode, first: cst.CSTNode | None, last: cst.CSTNode | None
    ) -> None:
        self.state, self.node, self.first, self.last = state, node, first, last
        self.at = state.position

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        found = self.state.found
        start = found[id(self.first)] >> _BITS if self.first is not None else self.at
        end = found[id(self.last)] & _END if self.last is not None else self.state.position
        found[id(self.node)] = start << _BITS | end
