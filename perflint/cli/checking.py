"""`perflint check`."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perflint.cli import setup
from perflint.cli.terminal import output, progress
from perflint.model.outcome import Outcome
from perflint.reports import FORMATS
from perflint.reports.summary import Tally, summary, table

if TYPE_CHECKING:
    from perflint.project.cache import State


def check(
    paths: Sequence[Path],
    *,
    output_format: str,
    output_file: Path | None,
    statistics: bool,
    quiet: bool,
    jobs: int,
    no_cache: bool,
    **options: Any,
) -> int:
    """Check and report; return the exit code."""
    began = time.monotonic()
    work = setup.work(paths, use_cache=not no_cache, **options)
    tally = Tally()
    with output(output_file) as (stream, style), closing(_outcomes(work, jobs, quiet)) as outcomes:
        counted = tally.through(outcomes)
        if statistics:
            for _ in counted:
                pass
            stream.write(table(tally, style))
        else:
            stream.writelines(FORMATS[output_format](counted, style))
        if output_format == "text" and not quiet:
            stream.write(summary(tally, time.monotonic() - began, style))
    return int(tally.fails(work.config.fail_level))


def _outcomes(work: setup.Work, jobs: int, quiet: bool) -> Generator[Outcome, None, None]:
    if work.stdin is not None:
        raw = setup.read_stdin()
        yield Outcome(str(work.stdin)) if work.passed_over else work.check.text(work.stdin, raw)
        return
    with closing(_checked(work, jobs)) as checked:
        yield from chain(
            work.problems, progress(checked, len(work.paths), lambda outcome: bool(outcome.active), quiet)
        )


def _checked(work: setup.Work, jobs: int) -> Generator[Outcome, None, None]:
    def check(paths: Sequence[Path]) -> Generator[tuple[Outcome, State | None], None, None]:
        if paths:
            from perflint.project import workers
            from perflint.project.jobs import Recorded

            yield from workers.run(Recorded(work.check), paths, jobs)

    if work.cache is not None:
        return work.cache.through(work.paths, check)
    from perflint.project import workers

    return workers.run(work.check, work.paths, jobs)
