"""`perflint check`."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perflint.cli import setup
from perflint.cli.terminal import output, progress
from perflint.model.config import ConfigError
from perflint.model.outcome import Outcome
from perflint.project import replay
from perflint.project.files import Paths
from perflint.reports import FORMATS, Style
from perflint.reports.summary import Tally, summary, table

if TYPE_CHECKING:
    from perflint.project.cache import Checked, Run, State


def check(
    paths: Sequence[str],
    *,
    output_format: str,
    output_file: Path | None,
    statistics: bool,
    quiet: bool,
    jobs: int,
    no_cache: bool,
    cluster: str | None,
    recording: replay.Recording | None = None,
    **options: Any,
) -> int:
    """Check and report; return the exit code. `recording` is kept, where the next run may print the same."""
    began = time.monotonic()
    work = setup.work(paths, use_cache=not no_cache, **options)
    if cluster is not None and work.stdin is not None:
        raise ConfigError("--cluster is for files, - (standard input) is one text: leave one out")
    tally = Tally()
    recording = recording if work.cache and not output_file and not cluster else None
    with output(output_file) as (stream, style), closing(_outcomes(work, jobs, cluster, quiet)) as outcomes:
        counted = tally.through(outcomes)
        pieces = _table(counted, tally, style) if statistics else FORMATS[output_format](counted, style)
        stream.writelines(recording.through(pieces) if recording else pieces)
        if output_format == "text" and not quiet:
            stream.write(summary(tally, replay.seconds(began), style))
            if recording:
                recording.add(summary(tally, replay.TOOK, style))
    code = int(tally.fails(work.config.fail_level))
    if recording and not tally.may_change:
        _keep(recording, work, code)
    return code


def _table(outcomes: Iterator[Outcome], tally: Tally, style: Style) -> Iterator[str]:
    for _ in outcomes:
        pass
    yield table(tally, style)


def _keep(recording: replay.Recording, work: setup.Work, code: int) -> None:
    if work.cache and work.cache.useful and work.installed and work.paths:
        here = work.installed
        names = chain(work.paths, work.looked)
        recording.keep(str(work.cache.folder), code, here.packages, here.state, names)


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
    run = _run_here(work, jobs) if address is None else _run_there(work, jobs, address)
    if work.cache is not None:
        return work.cache.through(work.paths, run)
    return (outcome for outcome, _ in run(Paths(work.paths)))


def _run_here(work: setup.Work, jobs: int) -> Run:
    def run(paths: Sequence[Path]) -> Generator[Checked, None, None]:
        if not paths:
            return
        from perflint.project import workers
        from perflint.project.jobs import Recorded

        if work.cache is not None:
            yield from workers.run(Recorded(work.check), paths, jobs)
        else:
            with closing(workers.run(work.check, paths, jobs)) as outcomes:
                yield from ((outcome, None) for outcome in outcomes)

    return run


def _run_there(work: setup.Work, jobs: int, address: str) -> Run:
    try:
        from perflint.project import cluster
    except ImportError as error:
        raise ConfigError(
            f"--cluster needs Dask: {error}; run `pip install 'perflint-cst[cluster]'`"
        ) from None
    if jobs and address != cluster.LOCAL:
        raise ConfigError("--jobs is about this machine; a cluster has its own workers: leave one out")
    cluster.verify(address)  # also where the cache knows all files

    def run(paths: Sequence[Path]) -> Generator[Checked, None, None]:
        states: dict[Path, State | None] = {}
        outcomes = cluster.run(work.check, paths, address, jobs, states.__setitem__)
        with closing(outcomes):
            for path, outcome in zip(paths, outcomes, strict=True):
                yield outcome, states.pop(path, None)

    return run
