"""Time and memory grow with the size of a file and not faster, whatever its shape; and no release is grossly slower than the
last.

Ratios of CPU time in one process, the least of several runs: how fast the machine is does not count. Memory is what
Python allocates, which is the same in each run; what parsers take besides, bench/growth.py shows.
"""

import ast
import gc
import math
import sysconfig
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import libcst as cst
import pytest

from bench.shapes import AWKWARD, ordinary
from perflint.analysis import engine, planning, split, syntax, tree
from perflint.analysis.regions import Region
from perflint.analysis.skeleton import blanked
from perflint.analysis.spans import Extents
from perflint.model.config import Config
from perflint.model.diagnostics import Span
from perflint.model.source import Source
from perflint.project import jobs, workers

STDLIB = Path(sysconfig.get_path("stdlib"))
FOLDERS = ("asyncio", "json")  # of the standard library
# How many times as long as `ast.parse` of the same files a check may take: twice what was measured on a calm machine
# (3.4 to 5.6 on Python 3.11 and 3.13). Lower it when the engine gets faster.
GROSS = 11

STEP = 4  # times as large
MOST = 1.3  # times as much memory for each byte
HELD = 40  # bytes for each byte of a file of many functions: their findings, for trees take hundreds
ROOM = 2.5  # times as long for each byte: room for a busy machine, caches and n log n; quadratic is STEP

SMALLER = {  # sizes at which a shape takes a few hundredths of a second, so that constant costs do not hide its growth
    "one line": 20_000,
    "one string": 200_000,
    "branches": 150,  # of the 1,000 that must hold: deeper ones are refused
    "nested blocks": 1_000,
    "additions": 4_000,
    "additions in a loop": 150,
    "literal": 500,
    "functions": 30,
    "loops": 40,
    "module loops": 40,
    "attributes": 150,
    "workers": 30,
}


def check(text: str) -> engine.Checked:
    return engine.inspect(Source("made_up.py", text.encode()), Config())


def cpu(work: Callable[[], object], runs: int = 3) -> float:
    """Seconds of CPU, the least of the runs, with no collector in between."""
    best = math.inf
    for _ in range(runs):
        gc.collect()
        gc.disable()
        try:
            began = time.process_time()
            work()
            best = min(best, time.process_time() - began)
        finally:
            gc.enable()
    return best


def assert_linear(small: str, large: str) -> None:
    check(small)  # loads what is loaded once
    before, after = cpu(lambda: check(small)), cpu(lambda: check(large))
    times = len(large) / len(small)
    assert after <= ROOM * times * before, (
        f"{times:.1f} times the bytes take {after / before:.1f} times as long"
    )


def peak(work: Callable[[], object]) -> int:
    """The most bytes that Python has allocated at once, above those that it had before."""
    gc.collect()
    gc.disable()  # as a run over files does
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        gc.enable()


OFTEN = ("additions in a loop", "literal", "functions")  # the others are read with `-m slow`


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in OFTEN else pytest.mark.slow) for name in AWKWARD]
)
def test_awkward_shapes_take_linear_time(name: str) -> None:
    shape, size = AWKWARD[name][0], SMALLER[name]
    assert_linear(shape(size), shape(STEP * size))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in OFTEN else pytest.mark.slow) for name in AWKWARD]
)
def test_awkward_shapes_take_linear_memory(name: str) -> None:
    shape, size = AWKWARD[name][0], SMALLER[name]
    small, large = shape(size), shape(STEP * size)
    check(small)
    before, after = peak(lambda: check(small)), peak(lambda: check(large))
    assert after <= MOST * len(large) / len(small) * before


@pytest.mark.parametrize("shape", [ordinary, AWKWARD["functions"][0]])
def test_the_trees_of_a_file_do_not_stand_beside_each_other(shape: Callable[[int], str]) -> None:
    small, large = shape(50), shape(250)
    check(small)
    more = peak(lambda: check(large)) - peak(lambda: check(small))
    assert more <= HELD * (len(large) - len(small))


@pytest.mark.parametrize(
    ("name", "size"), [("literal", 20_000), ("additions in a loop", 10_000), ("loops", 4_000)]
)
def test_a_parser_never_sees_all_of_a_large_region(
    name: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What LibCST's parser holds, Python does not allocate: some 600 bytes for each of its text."""
    seen: list[int] = []
    parse = cst.parse_module

    def parsed(text: str) -> cst.Module:
        seen.append(len(text))
        return parse(text)

    monkeypatch.setattr(cst, "parse_module", parsed)
    text = AWKWARD[name][0](size)
    assert tree.parse(*_only(text)).module.code == text
    assert len(text) > tree.LARGE and max(seen) <= 2 * split.SIZE


def _only(text: str) -> tuple[Source, Region]:
    source = Source("made_up.py", text.encode())
    return source, Region(Span(0, len(source.data)), function=True, node=ast.Pass())


def test_a_parser_never_sees_all_of_a_long_line(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    accepted = syntax._accepted
    monkeypatch.setattr(syntax, "_accepted", lambda text: seen.append(len(text)) or accepted(text))
    source = Source("made_up.py", AWKWARD["one line"][0](1_500_000).encode())
    assert syntax.parses(source, blanked(source.data))
    assert max(seen) <= 2 * split.SIZE


KEPT = 400  # bytes for the places of an element's nodes, of which there are eight and half are white space


def test_places_of_nodes_take_little_memory() -> None:
    module = cst.parse_module(AWKWARD["literal"][0](5_000))
    kept: list[Extents] = []
    assert peak(lambda: kept.append(Extents(module, ascii_only=True))) <= KEPT * 5_000


def test_a_large_text_is_not_copied_before_it_is_read() -> None:
    raw = ordinary(20_000).encode()
    assert peak(lambda: Source("made_up.py", raw)) <= len(raw) / 10
    draft = planning.drafted(Source("made_up.py", raw), Config())
    assert draft and planning.partial(draft)
    assert not {"_blank", "_text"} & vars(draft.facts).keys()


def test_memory_does_not_grow_with_the_number_of_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "made_up.py"
    path.write_text(ordinary(60))
    monkeypatch.setattr(workers, "_UNCOLLECTED", 5 * path.stat().st_size)  # of megabytes: the test is short

    def run(count: int) -> None:
        for outcome in workers.run(jobs.Check(Config(), tmp_path), [path] * count, 1):
            assert outcome.active

    run(10)
    few, many = (min(peak(lambda: run(count)) for _ in range(3)) for count in (10, 60))  # noqa: B023
    assert many <= 2 * few  # lists of tuples that Python keeps for later use fill up


def test_ordinary_code_takes_linear_time() -> None:
    assert_linear(ordinary(1_000), ordinary(STEP * 1_000))


@pytest.mark.parametrize("name", AWKWARD)
def test_awkward_shapes_are_checked_in_full_or_refused_in_one_finding(name: str) -> None:
    shape, _, must = AWKWARD[name]
    found = check(shape(min(must, SMALLER[name] * STEP))).active
    told = [item.message for item in found if item.code in ("PRF000", "PRF001")]
    if name == "nested blocks":
        assert [message.partition(":")[0] for message in told] == ["the file does not parse"]
    else:
        assert told == []
    counted = {"additions in a loop": 1, "literal": 1, "functions": None, "loops": None, "module loops": None}
    if name in counted:
        assert len(found) == (counted[name] or SMALLER[name] * STEP)


def test_a_run_is_not_grossly_slower_than_parsing() -> None:
    paths = [path for folder in FOLDERS for path in sorted((STDLIB / folder).glob("*.py"))]
    texts = [(str(path), path.read_bytes()) for path in paths]
    config = Config()

    def run() -> None:
        for path, raw in texts:
            engine.inspect(Source(path, raw), config)

    def parse() -> None:
        for _, raw in texts:
            ast.parse(raw)

    run()
    ratio = cpu(run, 2) / cpu(parse, 9)
    assert ratio <= GROSS, f"{ratio:.1f} times as long as ast.parse"
