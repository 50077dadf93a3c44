"""`perflint fix`."""

from __future__ import annotations

import difflib
import sys
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from perflint.cli import setup
from perflint.cli.terminal import output, progress, warn
from perflint.model.diagnostics import Applicability
from perflint.model.outcome import Outcome
from perflint.model.source import Source
from perflint.project import workers
from perflint.project.files import Paths
from perflint.project.repairs import Fix, Fixed
from perflint.reports import PLAIN, Style, concise
from perflint.reports.style import escape
from perflint.reports.summary import Tally, counted


@dataclass
class _Report:
    """What the run did, counted as it passes through."""

    applied: Counter[str] = field(default_factory=Counter)  # by code
    files: int = 0
    failed: bool = False  # a file could not be written
    left: Tally = field(default_factory=Tally)

    def add(self, fixed: Fixed) -> None:
        self.applied.update(finding.code for finding in fixed.applied)
        self.files += bool(fixed.applied)
        self.left.add(fixed.outcome)
        if fixed.error:
            self.failed = True
            warn(escape(fixed.error))

    def lines(self, diff: bool) -> Iterator[str]:
        verb = "Would fix" if diff else "Fixed"
        by_code = ", ".join(f"{code} {count}" for code, count in sorted(self.applied.items()))
        done = f"{counted(self.applied.total(), 'finding')} in {counted(self.files, 'file')}"
        yield f"{verb} {done}" + (f": {by_code}" if by_code else "")
        if self.left.total:
            unsafe = self.left.fixes[Applicability.UNSAFE]
            hint = f", {unsafe} fixable with `--unsafe-fixes`" if unsafe else ""
            yield f"{counted(self.left.total, 'finding')} left{hint}"

    def exit_code(self, diff: bool, fails: bool) -> int:
        if self.failed:
            return 2
        return int(self.files > 0 if diff else fails)


def fix(
    paths: Sequence[str], *, unsafe_fixes: bool, diff: bool, quiet: bool, jobs: int, **options: Any
) -> int:
    """Fix and say what remains; return the exit code."""
    work = setup.work(paths, **options)
    allow = Applicability.UNSAFE if unsafe_fixes else Applicability.SAFE
    job = Fix(work.check, allow, write=not diff)
    report = _Report()
    with closing(_results(work, job, jobs, quiet)) as results, output(None) as (_, style):
        for fixed in results:
            report.add(fixed)
            if diff:
                _print_diff(fixed, style)
            else:
                _print_left(fixed, style, work)
    if not quiet:
        stream = sys.stderr if diff or work.stdin else sys.stdout
        stream.writelines(f"{line}\n" for line in report.lines(diff))
    return report.exit_code(diff, report.left.fails(work.config.fail_level))


def _results(work: setup.Work, job: Fix, jobs: int, quiet: bool) -> Generator[Fixed, None, None]:
    if work.stdin is not None:
        yield _fix_stdin(work, job)
        return
    yield from map(Fixed, work.problems)
    with closing(workers.run(job, Paths(work.paths), jobs)) as results:
        yield from progress(
            results, len(work.paths), lambda fixed: bool(fixed.outcome.active or fixed.after), quiet
        )


def _fix_stdin(work: setup.Work, job: Fix) -> Fixed:
    """Write the fixed text to standard output; the text as it came where there is nothing to fix."""
    assert work.stdin is not None
    raw = setup.read_stdin()
    fixed = Fixed(Outcome(str(work.stdin))) if work.passed_over else job.text(work.stdin, raw)
    if job.write:
        sys.stdout.buffer.write(raw if fixed.after is None else fixed.after)
        sys.stdout.buffer.flush()
    return fixed


def _print_left(fixed: Fixed, style: Style, work: setup.Work) -> None:
    """The findings that remain, on stderr where stdout carries the text."""
    stream, style = (sys.stderr, PLAIN) if work.stdin else (sys.stdout, style)
    stream.writelines(concise.report([fixed.outcome], style))


def _print_diff(fixed: Fixed, style: Style) -> None:
    """A diff that `patch` takes; only a terminal gets it escaped."""
    if fixed.before is None or fixed.after is None:
        return
    name = fixed.outcome.path
    before, after = (Source(name, raw).text.splitlines(keepends=True) for raw in (fixed.before, fixed.after))
    lines = difflib.unified_diff(before, after, name, name)
    if style.colour or sys.stdout.isatty():
        sys.stdout.writelines(_coloured(lines, style))
        return
    sys.stdout.flush()
    for line in lines:
        ending = b"" if line.endswith("\n") else b"\n\\ No newline at end of file\n"
        sys.stdout.buffer.write(line.encode("utf-8", "surrogateescape") + ending)
    sys.stdout.buffer.flush()


def _coloured(lines: Iterable[str], style: Style) -> Iterator[str]:
    looks = {"+": "green", "-": "red", "@": "cyan"}
    for line in lines:
        text = escape(line.rstrip("\r\n").replace("\t", "    "))
        yield (style.paint(text, looks[line[0]]) if line[0] in looks else text) + "\n"
