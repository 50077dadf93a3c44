"""The figures of bench/speed.json and bench/growth.json as Markdown: what the two scripts print and docs/speed.md holds."""

from __future__ import annotations

from typing import Any

LINEAR = 1.2  # exponents up to here are caches, the collector, n log n and noise

# In the order of a run; what bench/stages.py calls each, and what it is.
STAGES = {
    "start": "Python starts, modules are loaded",
    "load rules": "rules are loaded",
    "find files": "files are found",
    "read": "files are read and decoded",
    "words": "words: which rules may find something in the file",
    "draft": "draft: functions, loops and imports are read off the text",
    "gates": "gates: which rules may find something in a region",
    "draft ast": "`ast` of single loops and regions that the text does not rule out",
    "sketches": "sketches: the nodes of a region by type",
    "syntax": "ruff's parser, for PRF000",
    "ast": "`ast.parse`, where a question is about the whole file",
    "facts": "facts: one walk over all statements",
    "depth": "how deep regions are nested",
    "parse": "LibCST parses the regions",
    "walk": "one walk over the trees",
    "spans": "LibCST's positions",
    "rules": "rules",
    "suppressions": "comments that suppress",
    "report": "the report",
    "other": "everything else",
}

COMMON = (
    "start",
    "find files",
    "read",
    "words",
    "draft",
    "syntax",
    "report",
    "other",
)  # every file needs them
NO_CORPUS = ("python", "version", "libcst", "small", "clean")  # the rows that read none


def speed(result: dict[str, Any]) -> str:
    """All tables of bench/speed.py."""
    return "\n\n".join(table(result) for table in (bars, commands, stages, run))


def run(result: dict[str, Any]) -> str:
    """What was measured with what, and what could not be."""
    corpus, versions = result["corpus"], result["versions"]
    tools = ", ".join(f"{name} {number}" for name, number in versions.items())
    other = "" if corpus["pinned"] else " (not the pinned corpus)"
    machine = f"{result['machine']}, {result['processors']} processors"
    size = f"{corpus['files']:,} files, {corpus['bytes'] / 1e6:.1f} MB{other}"
    end = f"{size}. Medians of {result['rounds']} interleaved rounds; {machine}; {tools}."
    return "\n\n".join([end, *(f"Left out: {line}." for line in result["left_out"])])


def bars(result: dict[str, Any]) -> str:
    """What the project promises, and whether it holds."""
    lines = ["| what | measured | bar | holds |", "| --- | --- | --- | --- |"]
    for bar in result["bars"]:
        side, unit = "at least" if bar["least"] else "at most", bar["unit"]
        limit = f"{side} {bar['limit']:g}{_unit(unit)}"
        lines.append(
            f"| {bar['what']} | {_figure(bar['value'])}{_unit(unit)} | {limit} | {_yes(bar['holds'])} |"
        )
    return "\n".join(lines)


def commands(result: dict[str, Any]) -> str:
    """What each command costs."""
    subset = result["subset"]
    lines = ["| command | reads | CPU | wall | peak memory |", "| --- | --- | --- | --- | --- |"]
    for key, row in result["rows"].items():
        reads = "a part" if row["subset"] else "" if key in NO_CORPUS else "all"
        peak = f"{row['peak'] / 1e6:.0f} MB"
        lines.append(
            f"| {row['what']} | {reads} | {_seconds(row['cpu'])} | {_seconds(row['wall'])} | {peak} |"
        )
    part = (
        f"A part: {', '.join(subset['projects'])}; {subset['files']} files, {subset['bytes'] / 1e6:.2f} MB."
    )
    return "\n".join([*lines, "", part])


def stages(result: dict[str, Any]) -> str:
    """Where the CPU time of a cold run with one job goes, and how much of the source gets there."""
    found, size, rows = result["stages"], result["corpus"]["bytes"], result["rows"]
    whole = rows["cold"]["cpu"] / rows["ruff"]["cpu"]
    lines = ["| stage | of the CPU time | of ruff's | of the bytes |", "| --- | --- | --- | --- |"]
    for name, what in STAGES.items():
        if stage := found.get(name):
            reached = "" if stage["bytes"] is None else f"{stage['bytes'] / size:.0%}"
            share = stage["share"]
            lines.append(f"| {what} | {share:.1%} | {share * whole:.2f}x | {reached} |")
    common = sum(found[name]["share"] for name in COMMON if name in found)
    told = ", ".join(STAGES[name].partition(":")[0] for name in COMMON)
    end = f"What no gate can save, {common * whole:.1f}x of ruff's CPU in all: {told}."
    return "\n".join([*lines, "", end])


def growth(result: dict[str, Any]) -> str:
    """The series of bench/growth.py: time and memory at the largest size, and how time grows."""
    lines = [
        "| what grows | from | to | CPU | peak memory | CPU grows as | linear |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for series in result["series"]:
        first, last, power = series["points"][0], series["points"][-1], series["growth"]
        shown = f"n^{power:.2f}" if power is not None else "(too quick to tell)"
        linear = power is None or power <= LINEAR
        if series["left_out"]:
            shown += f"; {series['left_out']:,} would take over {result['budget']:g} s"
        peak = f"{first['peak'] / 1e6:.0f} to {last['peak'] / 1e6:.0f} MB"
        sizes = f"{first['n']:,} | {last['n']:,}"
        lines.append(
            f"| {series['counts']} | {sizes} | {_seconds(last['cpu'])} | {peak} | {shown} | {_yes(linear)} |"
        )
    ends = [
        f"Linear is n^{LINEAR:g} at most. One job, no cache; {result['machine']}, Python {result['python']}."
    ]
    return "\n".join([*lines, "", *ends])


def _seconds(value: float) -> str:
    return f"{value:,.1f} s" if value >= 1 else f"{value * 1e3:.0f} ms"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 20 else f"{value:.1f}"


def _unit(unit: str) -> str:
    return unit if unit == "x" else f" {unit}"


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"
