"""The scripts that measure perflint itself: what they fetch, run, count and print. Never how long anything takes."""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import time
import xml.etree.ElementTree as xml
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from bench import corpus, growth, plot, processes, shapes, speed, stages, tables
from bench.corpus import CorpusError, Project
from bench.processes import Failed, Used

ROOT = Path(__file__).parent.parent
PROJECT = Project("made_up", "1.0", "made_up-1.0.tar.gz", "")


# The corpus


def archive(folder: Path, *names: str, link: str = "") -> Project:
    """A source archive with these files, and a project that pins it."""
    path = folder / PROJECT.archive
    with tarfile.open(path, "w:gz") as stream:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 4
            stream.addfile(member, io.BytesIO(b"x=1\n"))
        if link:
            member = tarfile.TarInfo(link)
            member.type, member.linkname = tarfile.SYMTYPE, "/etc/hostname"
            stream.addfile(member)
    return PROJECT._replace(sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_the_list_is_pinned() -> None:
    projects, files, size = corpus.pinned()
    assert len({project.folder for project in projects}) == len(projects) == 15
    assert all(len(project.sha256) == 64 and project.version in project.archive for project in projects)
    assert files > 1_000 and size > 10_000_000
    for pattern in speed.SUBSET:
        assert any(PurePosixPath(project.folder).match(pattern) for project in projects)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("src/a.py", True),
        ("setup.py", True),
        ("a.pyi", False),
        ("src/tests/a.py", False),
        ("src/test_a.py", False),
        ("src/tests.py", True),
    ],
)
def test_python_files_without_tests(path: str, wanted: bool) -> None:
    assert PROJECT.wants(PurePosixPath(path)) is wanted


def test_only_and_exclude() -> None:
    project = PROJECT._replace(only=("src/*",), exclude=("src/_vendor/*",))
    told = {path: project.wants(PurePosixPath(path)) for path in ("src/a/b.py", "a.py", "src/_vendor/a.py")}
    assert told == {"src/a/b.py": True, "a.py": False, "src/_vendor/a.py": False}


def test_only_python_files_are_unpacked(tmp_path: Path) -> None:
    project = archive(tmp_path, "top/a.py", "top/b/c.py", "top/b/c.txt", "top/tests/d.py", link="top/e.py")
    corpus.unpack(project, corpus.fetch(project, tmp_path), tmp_path / project.folder)
    found = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*") if path.is_file())
    assert found == ["made-up-1.0/a.py", "made-up-1.0/b/c.py", PROJECT.archive]


def test_an_archive_that_points_out_of_itself_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    project = archive(tmp_path, "top/a.py", "top/../../../outside.py")
    with pytest.raises(CorpusError, match="points out of the archive"):
        corpus.unpack(project, tmp_path / PROJECT.archive, tmp_path / "work" / project.folder)
    assert list((tmp_path / "work").iterdir()) == list(tmp_path.rglob("*.py")) == []


def test_another_file_of_that_name_is_refused(tmp_path: Path) -> None:
    archive(tmp_path, "top/a.py")
    with pytest.raises(CorpusError, match=r"not the file that corpus\.toml pins"):
        corpus.fetch(PROJECT._replace(sha256="0" * 64), tmp_path)


def test_a_broken_download_leaves_no_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(corpus, "_download", lambda project: iter([b"half of it"]))
    with pytest.raises(CorpusError):
        corpus.fetch(PROJECT, tmp_path)
    assert not (tmp_path / PROJECT.archive).exists()
    monkeypatch.setattr(corpus, "_download", lambda project: iter([b"all ", b"of it"]))
    whole = PROJECT._replace(sha256=hashlib.sha256(b"all of it").hexdigest())
    assert corpus.fetch(whole, tmp_path).read_bytes() == b"all of it"


# Processes


def python(code: str, tmp_path: Path, **options: Any) -> Used:
    return processes.run([sys.executable, "-c", code], tmp_path, {"SAID": "so"}, **options)


def test_the_cost_of_children_counts(tmp_path: Path) -> None:
    busy = "import time\nwhile time.process_time() < 0.2: pass"
    used = python(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}])", tmp_path)
    assert used.cpu >= 0.2 and used.wall > 0
    assert python("x = bytearray(b'x') * 90_000_000", tmp_path).peak > 90_000_000


def test_output_and_environment(tmp_path: Path) -> None:
    python("import os; print(os.environ['SAID'])", tmp_path, output=tmp_path / "said.txt")
    assert (tmp_path / "said.txt").read_text() == "so\n"


def test_findings_are_no_failure_but_errors_are(tmp_path: Path) -> None:
    python("raise SystemExit(1)", tmp_path)
    with pytest.raises(Failed, match="ended with 2: why"):
        python("import sys; sys.stderr.write('one\\nwhy\\n'); sys.exit(2)", tmp_path)


# Stages


def test_every_stage_is_there_and_named_in_the_tables() -> None:
    found = {stage.name for stage, *_ in stages.targets()}
    assert found | {"start", "other"} == set(tables.STAGES)


def test_a_stage_that_was_renamed_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stages, "STAGES", (stages.Stage("x", "perflint.analysis.engine:gone"),))
    with pytest.raises(LookupError, match="has no gone; mend STAGES"):
        list(stages.targets())


def test_time_in_an_inner_stage_counts_there_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "process_time", lambda: now[0])

    def spend(seconds: float) -> bytes:
        now[0] += seconds
        return b"12345"

    clock = stages.Clock()
    inner = clock.timed(stages.Stage("inner", "", lambda arguments, result: len(result)), spend)

    def outer_work() -> Any:
        spend(1)
        yield inner(10)
        spend(100)

    outer = clock.timed(stages.Stage("outer", ""), outer_work)
    spend(1000)
    assert list(outer()) == [b"12345"]
    clock.switch()
    assert clock.seconds == {"other": 1000, "outer": 101, "inner": 10}
    assert clock.bytes == {"inner": 5}


def test_the_stages_of_a_run(tmp_path: Path) -> None:
    for name, text in speed.SMALL.items():
        (tmp_path / name).write_text(text)
    command = [sys.executable, str(ROOT / "bench" / "stages.py"), "stages.json", "check", "--jobs", "1", "."]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "") and "PRF209" in ran.stdout
    said = json.loads((tmp_path / "stages.json").read_text())
    assert said["bytes"]["read"] == sum(map(len, speed.SMALL.values()))
    assert 0 < said["bytes"]["parse"] <= len(speed.SMALL["finding.py"])
    assert said["seconds"].keys() <= tables.STAGES.keys() and said["seconds"]["start"] > 0


# Figures and tables


def made_up() -> speed.Figures:
    figures = speed.Figures(share=0.1)
    for slow in (1, 9, 2):  # a busy machine in the second round
        for key, cpu in {"cold": 4.0, "ruff": 2.0, "fixit": 60.0}.items():
            figures.add(key, [Used(cpu * slow, cpu * slow, 100_000_000)])
    return figures


def test_ratios_are_medians_of_rounds_and_per_byte() -> None:
    figures = made_up()
    assert figures.median("cold", "cpu") == 8 and figures.ratio("cold", "ruff", "cpu") == 2
    assert figures.per_byte("fixit") == pytest.approx(150)
    assert figures.ratio("warm", "ruff", "cpu") is None and figures.median("warm", "cpu") is None
    told = {bar.what: bar.value(figures) for bar in speed.BARS}
    assert [value for value in told.values() if value is not None] == pytest.approx([2, 150, 100])


def test_a_round_of_several_runs_counts_as_their_median() -> None:
    figures = speed.Figures(1)
    figures.add("python", [Used(cpu, cpu, 10) for cpu in (1.0, 7.0, 2.0)])
    assert figures.used["python"] == [Used(2.0, 2.0, 10)]


def test_missing_tools_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "TOOLS", ("pytest", "no-such-tool"))
    with pytest.raises(Failed, match=r"no-such-tool; run `pip install -e '\.\[bench\]'`"):
        speed.versions()


def test_what_is_no_corpus_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"is not the corpus; fetch it with `python bench/corpus\.py"):
        speed.measured(tmp_path, 1)


def test_rows_only_of_what_this_version_has(tmp_path: Path) -> None:
    rows, left_out = speed.rows([tmp_path], [tmp_path], tmp_path)
    keys = {row.key for row in rows}
    assert {"cold", "ruff", "fixit", "flake8", "version", "small"} <= keys
    assert ("warm" in keys) is not bool(left_out)


def test_recorded_figures_fill_the_tables() -> None:
    recorded = json.loads((ROOT / "bench" / "speed.json").read_text())
    assert recorded["corpus"]["pinned"] and recorded["stages"].keys() <= tables.STAGES.keys()
    for bar in recorded["bars"]:
        assert bar["holds"] is (
            bar["value"] >= bar["limit"] if bar["least"] else bar["value"] <= bar["limit"]
        )
    assert sum(stage["share"] for stage in recorded["stages"].values()) == pytest.approx(1, abs=0.05)
    assert tables.speed(recorded).count("\n|") > 25


# Growth


@pytest.mark.parametrize(("power", "told"), [(1, 1.0), (2, 2.0)])
def test_the_exponent_is_read_where_starting_does_not_drown_it(power: int, told: float) -> None:
    points = [
        growth.Point(n, 0.01 if n < 1_000 else n**power * 1e-4, 0) for n in (10, 100, 1_000, 3_000, 10_000)
    ]
    assert growth.exponent(points, start=0.3) == pytest.approx(told)
    assert growth.exponent(points[:2], start=0.3) is None


def test_sizes_go_up_to_the_last() -> None:
    assert growth._sizes(10, 1_000) == [10, 30, 100, 300, 1_000]
    assert growth._sizes(1_000, 1_000) == [1_000]


def test_a_series_ends_before_it_takes_too_long() -> None:
    class Meter:
        start = 0.1

        def __call__(self, name: str, size: int) -> growth.Point:
            return growth.Point(size, size**2 * 1e-3, 1)

    series = growth.Series("made up", "things", [10, 100, 1_000, 10_000])
    points, left_out = growth.grow(series, Meter(), budget=100)  # type: ignore[arg-type]
    assert [point.n for point in points] == [10, 100] and left_out == 1_000


def test_each_series_is_measured_in_files_of_its_own(tmp_path: Path) -> None:
    meter = growth.Meter(tmp_path)
    assert meter.start > 0 and meter("loops", 10).peak > 10_000_000
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["help.txt", "perflint.toml"]


def test_folders_of_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "LINKS", 3)
    growth.folders(tmp_path, 7)
    found = list(tmp_path.rglob("*.py"))
    assert len(found) == 7 and {path.read_text() for path in found} == {
        shapes.ordinary(growth.FILE_LINES, found) for found in (True, False)
    }


@pytest.mark.parametrize("lines", [10, 60, 1_000])
def test_ordinary_code_has_the_lines_it_is_asked_for(lines: int) -> None:
    text = shapes.ordinary(lines)
    compile(text, "made_up.py", "exec")
    assert text.count("\n") == lines


def test_the_plot_is_well_formed_and_has_every_series() -> None:
    recorded = json.loads((ROOT / "bench" / "growth.json").read_text())
    root = xml.fromstring(plot.svg(recorded))
    texts = [node.text for node in root.iter("{http://www.w3.org/2000/svg}text")]
    width, height = map(float, root.attrib["viewBox"].split()[2:])
    for series in recorded["series"]:
        assert series["counts"].replace("`", "") in texts
    for line in root.iter("{http://www.w3.org/2000/svg}polyline"):
        places = [tuple(map(float, pair.split(","))) for pair in line.attrib["points"].split()]
        assert all(0 <= x <= width and 0 <= y <= height for x, y in places)
    assert all(series["counts"] in tables.growth(recorded) for series in recorded["series"])
