"""`perflint check`."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

from perflint.cli import setup
from perflint.cli.terminal import output, progress
from perflint.model.config import ConfigError
from perflint.model.outcome import Outcome
from perflint.project import workers
from perflint.reports import FORMATS
from perflint.reports.summary import Tally, summary, table


def check(
    paths: Sequence[Path],
    *,
    output_format: str,
    output_file: Path | None,
    statistics: bool,
    quiet: bool,
    jobs: int,
    cluster: str | None,
    **options: Any,
) -> int:
    """Check and report; return the exit code."""
    began = time.monotonic()
    work = setup.work(paths, **options)
    if cluster is not None and work.stdin is not None:
        raise ConfigError("--cluster is for files, - (standard input) is one text: leave one out")
    tally = Tally()
    with output(output_file) as (stream, style), closing(_outcomes(work, jobs, cluster, quiet)) as outcomes:
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


def _outcomes(
    work: setup.Work, jobs: int, cluster: str | None, quiet: bool
) -> Generator[Outcome, None, None]:
    if work.stdin is not None:
        raw = setup.read_stdin()
        yield Outcome(str(work.stdin)) if work.passed_over else work.check.text(work.stdin, raw)
        return
    with closing(_checked(work, jobs, cluster)) as checked:
        yield from chain(
            work.problems, progress(checked, len(work.paths), lambda outcome: bool(outcome.active), quiet)
        )


def _checked(work: setup.Work, jobs: int, address: str | None) -> Generator[Outcome, None, None]:
    if address is None:
        return workers.run(work.check, work.paths, jobs)
    try:
        from perflint.project import cluster
    except ImportError as error:
        raise ConfigError(
            f"--cluster needs Dask: {error}; run `pip install 'perflint-cst[cluster]'`"
        ) from None
    if jobs and address != cluster.LOCAL:
        raise ConfigError("--jobs is about this machine; a cluster has its own workers: leave one out")
    return cluster.run(work.check, work.paths, address, jobs)
