"""A flame view of a profile: SVG made here, without scripts; each box is a link that makes it the widest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from ._sampler import CPUProfile

_ROW = 20  # pixels
_LEAST = 0.002  # of the width: less is not drawn
_MOST_BOXES, _MOST_ROWS = 2000, 100
_COLOURS = 6


class Box:
    """A function below its callers; `number` is its place in the profile, the same for each view of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.number = 0
        self.count = 0
        self.below: dict[str, Box] = {}
        self.above: Box | None = None

    def path(self) -> list[Box]:
        """From the whole profile to this box."""
        path, box = [], self.above
        while box is not None:
            path.append(box)
            box = box.above
        return path[::-1]


class _Placed(NamedTuple):
    box: Box
    left: float
    width: float
    row: int


def flame_boxes(profile: CPUProfile) -> list[Box]:
    """All boxes by number; the first stands for the whole profile."""
    whole = Box("all threads")
    for (thread, stack), count in profile.counts.items():
        box = whole
        box.count += count
        for name in (thread, *map(str, stack)):
            if name not in box.below:
                box.below[name] = Box(name)
                box.below[name].above = box
            box = box.below[name]
            box.count += count
    boxes: list[Box] = []
    waiting = [whole]
    while waiting:
        box = waiting.pop()
        box.number = len(boxes)
        boxes.append(box)
        box.below = dict(sorted(box.below.items(), key=lambda item: (-item[1].count, item[0])))
        waiting.extend(reversed(box.below.values()))
    return boxes


def flame_svg(widest: Box, total: int, link: Callable[[int], str]) -> str:
    """The boxes from `widest` downwards; `total` samples are 100 %."""
    from html import escape

    rows, drawn = 1, []
    for placed in _placed(widest):
        rows = max(rows, placed.row + 1)
        share = f"{placed.box.name}, {placed.box.count} samples, {placed.box.count / max(1, total):.1%}"
        colour = sum(map(ord, placed.box.name)) % _COLOURS
        drawn.append(
            f'<a href="{escape(link(placed.box.number))}" aria-label="{escape(share)}">'
            f'<svg x="{placed.left:.3%}" y="{placed.row * _ROW}" width="{placed.width:.3%}" height="{_ROW - 1}">'
            f'<title>{escape(share)}</title><rect class="c{colour}" width="100%" height="100%"/>'
            f'<text x="4" y="14">{escape(placed.box.name)}</text></svg></a>'
        )
    head = f'<svg class="flame" role="group" aria-label="flame view" width="100%" height="{rows * _ROW}">'
    return f"{head}{''.join(drawn)}</svg>"


def _placed(widest: Box) -> Iterator[_Placed]:
    """Callers before what they call, so that the keyboard goes down the stack."""
    waiting = [_Placed(widest, 0.0, 1.0, 0)]
    count = 0
    while waiting and count < _MOST_BOXES:
        placed = waiting.pop()
        count += 1
        yield placed
        left, below = placed.left, []
        for box in placed.box.below.values():
            width = box.count / max(1, widest.count)
            if width >= _LEAST and placed.row + 1 < _MOST_ROWS:
                below.append(_Placed(box, left, width, placed.row + 1))
            left += width
        waiting.extend(reversed(below))
