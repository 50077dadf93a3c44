"""docs/growth.svg: the series of bench/growth.json on two log-log plots, readable on light and dark ground."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import ceil, floor, log10
from typing import Any, NamedTuple

WIDTH, HEIGHT = 470, 320  # of one plot
LEFT, TOP, BOTTOM = 62, 34, 40
TOLD = 0.03  # seconds; what takes less is noise beside the start, and not drawn
COLOURS = (
    *("#2f81f7", "#d2691e", "#2da44e", "#a855f7", "#d63384", "#0e9aa7"),
    *("#b8860b", "#e5534b", "#6e7781", "#5b5fc7", "#8fbc3f", "#a0785a"),
)
_STYLE = """<style>text{font:12px sans-serif;fill:#24292f}.grid{stroke:#d0d7de}.ideal{stroke:#57606a;stroke-dasharray:3 4}
@media(prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#3d444d}.ideal{stroke:#9198a1}}</style>"""


class Axis(NamedTuple):
    """Powers of ten from `low` to `high`, drawn from pixel `start` to pixel `end`."""

    low: int
    high: int
    start: float
    end: float

    def at(self, value: float) -> float:
        return self.start + (log10(value) - self.low) / (self.high - self.low) * (self.end - self.start)


def svg(result: dict[str, Any]) -> str:
    """Time on the left, memory on the right."""
    shown = [series for series in result["series"] if len(series["points"]) > 1]
    legend = -(-len(shown) // 3) * 18
    whole = (
        f'width="{2 * WIDTH}" height="{HEIGHT + legend + 8}" viewBox="0 0 {2 * WIDTH} {HEIGHT + legend + 8}"'
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {whole} role="img">',
        "<title>Time and memory over size</title>",
        _STYLE,
    ]
    lines += _plot(shown, "CPU seconds over size", 0, _time, ideal=True)
    lines += _plot(shown, "peak memory in MB over size", WIDTH, _memory)
    for index, series in enumerate(shown):
        x, y = LEFT + index % 3 * 290, HEIGHT + 12 + index // 3 * 18
        lines.append(
            f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{COLOURS[index % len(COLOURS)]}"/>'
        )
        lines.append(f'<text x="{x + 16}" y="{y}">{series["counts"].replace("`", "")}</text>')
    return "\n".join([*lines, "</svg>", ""])


def _time(point: dict[str, Any]) -> float | None:
    seconds: float = point["cpu"]
    return seconds if seconds >= TOLD else None


def _memory(point: dict[str, Any]) -> float | None:
    return float(point["peak"]) / 1e6


def _plot(
    shown: list[dict[str, Any]],
    title: str,
    shift: int,
    value: Callable[[dict[str, Any]], float | None],
    *,
    ideal: bool = False,
) -> Iterator[str]:
    runs = [
        [(point["n"], told) for point in series["points"] if (told := value(point)) is not None]
        for series in shown
    ]
    every = [place for run in runs for place in run]
    xs = _axis([n for n, _ in every], shift + LEFT, shift + WIDTH - 16)
    ys = _axis([told for _, told in every], HEIGHT - BOTTOM, TOP)
    yield f'<text x="{shift + LEFT}" y="18">{title}</text>'
    yield from _grid(xs, ys)
    if ideal:  # where time is ten times as long for ten times the size
        steps = min(xs.high - xs.low, ys.high - ys.low)
        line = _path(
            [(xs.at(10.0 ** (xs.low + step)), ys.at(10.0 ** (ys.low + step))) for step in (0, steps)]
        )
        yield f'<polyline class="ideal" fill="none" points="{line}"/>'
    for index, run in enumerate(runs):
        if len(run) > 1:
            line, colour = _path([(xs.at(n), ys.at(told)) for n, told in run]), COLOURS[index % len(COLOURS)]
            yield f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{line}"/>'


def _grid(xs: Axis, ys: Axis) -> Iterator[str]:
    for power in range(xs.low, xs.high + 1):
        x = xs.at(10.0**power)
        yield f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{ys.start}" y2="{ys.end}"/>'
        yield f'<text x="{x:.1f}" y="{ys.start + 18}" text-anchor="middle">{_label(power)}</text>'
    for power in range(ys.low, ys.high + 1):
        y = ys.at(10.0**power)
        yield f'<line class="grid" x1="{xs.start}" x2="{xs.end}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield f'<text x="{xs.start - 6}" y="{y + 4:.1f}" text-anchor="end">{_label(power)}</text>'


def _axis(values: list[float], start: float, end: float) -> Axis:
    low, high = floor(log10(min(values))), ceil(log10(max(values)))
    return Axis(low, max(high, low + 1), start, end)


def _label(power: int) -> str:
    if power < 0:
        return f"{10.0**power:.{-power}f}"
    unit = power // 3 if power > 3 else 0
    return f"{10 ** (power - 3 * unit)}{('', 'k', 'M', 'G')[unit]}"


def _path(points: list[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
