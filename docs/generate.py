"""Writes the index of the rules (`perflint/rules/index.py`), `docs/rules/` and the README's first screen from the rules
themselves, `docs/speed.md` from measured figures.

    python docs/generate.py            # write what is stale
    python docs/generate.py --check    # only compare; exit 1 if something is stale

A rule's page holds its docstring and its measured figures, the README what `perflint check` says of the demo.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from perflint.analysis import engine
from perflint.analysis.payoff import figures
from perflint.analysis.registry import row as listed
from perflint.analysis.registry import written
from perflint.analysis.rule import Rule
from perflint.model.config import Config
from perflint.model.outcome import Outcome
from perflint.model.source import Source
from perflint.reports import FORMATS, PLAIN

ROOT = Path(__file__).resolve().parent.parent
sys.path.append(str(ROOT))  # `bench` is not installed

from bench import plot, tables  # noqa: E402

FOLDER = Path(__file__).parent / "rules"
INDEX = ROOT / "perflint" / "rules" / "index.py"
README = ROOT / "README.md"
BENCH = ROOT / "bench"
SPEED = Path(__file__).parent / "speed.md"
FIGURES = re.compile(r"(<!-- (\w+) of bench/(\w+)\.json -->\n).*?(?=^<!-- end of figures -->$)", re.M | re.S)
SCREEN = re.compile(r"^\$ perflint check (fixtures/demo/\S+)\n.*?^```$", re.M | re.S)
RULES = sorted(written(), key=lambda rule: rule.code)
MEASURES = {
    "time": "faster Good is",
    "wall": "sooner Good is done",
    "memory": "less memory Good needs at its peak",
}
FIXES = {"never": "no fix", "sometimes": "a fix where it can be made", "always": "always a fix"}


def index() -> dict[Path, str]:
    """What the registry knows of the rules without their modules."""
    head = (
        '"""What is known of the rules before their modules are loaded. Written by `python docs/generate.py`."""\n\n'
        "# fmt: off\nRULES = (\n"
    )
    return {INDEX: head + "".join(f"    {listed(rule)!r},\n" for rule in RULES) + ")\n"}


def page(rule: Rule) -> str:
    state = f"off until `{rule.group}` is selected" if rule.group else "on by default"
    head = f"# {rule.name} ({rule.code})\n\n{rule.summary}.\n\n"
    facts = f"{rule.category} · {rule.severity.label} · {state} · {FIXES[rule.fix]} · since {rule.since}\n\n"
    path = f"perflint/rules/{rule.category}/{rule.name.replace('-', '_')}.py"
    return f"{head}{facts}{prose(rule.doc)}\n{measured(rule)}\nSource: [`{path}`](../../{path})\n"


def prose(doc: str) -> str:
    """The docstring as Markdown: its indented examples become code blocks."""
    lines, code = [], False
    for line in doc.strip().splitlines():
        indented = line.startswith("    ")
        if indented and not code:
            lines.append("```python")
        elif line and not indented and code:
            while lines[-1] == "":
                lines.pop()
            lines += ["```", ""]
        code = indented or (code and not line)
        lines.append(line.removeprefix("    ") if code else line)
    if code:
        lines.append("```")
    return "\n".join(lines) + "\n"


def measured(rule: Rule) -> str:
    table = figures(rule.code)
    if rule.benchmark is None:
        return "## Measured\n\nNothing to time: the harm is no cost but a hang or a loss, which `tests/harm` shows.\n"
    if not table:
        return "## Measured\n\nNot measured: the example needs something that a benchmark has not.\n"
    sizes = sorted({int(size) for row in table.values() for size in row["sizes"]})
    lines = [
        "## Measured",
        "",
        f"How many times {MEASURES[rule.benchmark.measure]} than Bad (`perflint bench {rule.code}` measures yours):",
        "",
        "| Python | " + " | ".join(f"n = {size:,}" for size in sizes) + " | growth of Bad | of Good |",
        "|---" * (len(sizes) + 3) + "|",
    ]
    for version, row in sorted(table.items(), key=lambda item: tuple(map(int, item[0].split(".")))):
        ratios = {int(size): ratio for size, ratio in row["sizes"].items()}
        cells = [
            f"{ratios[size]:,.{0 if ratios[size] >= 10 else 1}f}x" if size in ratios else "" for size in sizes
        ]
        growth = [f"n^{exponent:.1f}" for exponent in row["growth"] or ()]
        lines.append(f"| {version} | " + " | ".join([*cells, *growth]) + " |")
    return "\n".join(lines) + "\n"


def contents() -> str:
    lines = [
        "# Rules",
        "",
        "| code | rule | what it finds | severity | fix | default |",
        "|---|---|---|---|---|---|",
    ]
    for rule in RULES:
        default = f"off (`{rule.group}`)" if rule.group else "on"
        name = f"[{rule.name}]({rule.name}.md)"
        lines.append(
            f"| {rule.code} | {name} | {rule.summary} | {rule.severity.label} | {rule.fix} | {default} |"
        )
    own = "`PRF000` a file that cannot be read or parsed, `PRF001` a rule or fix that failed, `PRF002` an unused suppression."
    return "\n".join([*lines, "", f"perflint's own: {own}", ""])


def readme() -> str:
    """The README with what the command says of the demo's files in it."""
    return SCREEN.sub(screen, README.read_text("utf-8"))


def screen(match: re.Match[str]) -> str:
    path = match[1]
    source = Source(path, (README.parent / path).read_bytes())
    outcome = Outcome(path, engine.check(source, Config()), raw=source.data)
    shown = "".join(FORMATS["text"]([outcome], PLAIN)).strip()
    return f"$ perflint check {path}\n{shown}\n```"


def measured_figures(match: re.Match[str]) -> str:
    """A block of `docs/speed.md`, from the file and by the function that its mark names."""
    return f"{match[1]}{getattr(tables, match[2])(recorded(match[3]))}\n"


def recorded(name: str) -> dict[str, Any]:
    return json.loads((BENCH / f"{name}.json").read_text("utf-8"))


def pages() -> dict[Path, str]:
    found = {FOLDER / f"{rule.name}.md": page(rule) for rule in RULES}
    found |= {FOLDER / "index.md": contents(), README: readme()}
    found[SPEED] = FIGURES.sub(measured_figures, SPEED.read_text("utf-8"))
    found[SPEED.with_name("growth.svg")] = plot.svg(recorded("growth"))
    return found


def main() -> int:
    FOLDER.mkdir(exist_ok=True)
    for make in (
        index,
        pages,
    ):  # in this order: the engine refuses rules that the index does not know as they are
        wanted = make()
        stale = [
            path for path, text in wanted.items() if not path.exists() or path.read_text("utf-8") != text
        ]
        if make is pages:
            stale += [path for path in FOLDER.glob("*.md") if path not in wanted]
        if stale and "--check" in sys.argv:
            print(*(f"{path.name} is stale; run python docs/generate.py" for path in stale), sep="\n", end="")
            return 1
        for path in stale:
            path.write_text(wanted[path], "utf-8") if path in wanted else path.unlink()
    return 0


if __name__ == "__main__":
    sys.exit(main())
