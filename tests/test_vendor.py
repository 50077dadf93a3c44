"""The runtime as one module of the user's own: its text, when it is written, and what it does there."""

from __future__ import annotations

import ast
import errno
import importlib.util
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from graphlib import CycleError
from pathlib import Path

import pytest

import perflint
from perflint.cli import app
from perflint.project import vendor

ROOT = Path(__file__).parent.parent
TEXT = vendor.build()
VERSION = perflint.__version__
AGAIN = "For fixes that import from it, write in pyproject.toml:\n\n[tool.perflint]\nruntime-module = "

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run `perflint` in a folder with a package `app`."""
    (tmp_path / "app").mkdir()
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = app.run(list(arguments))
        return code, *capsys.readouterr()

    return call


def alone(script: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script with nothing but the standard library and `folder` to import from."""
    start = f"import sys; sys.path.insert(0, {str(folder)!r})\n"
    command = [sys.executable, "-S", "-I", "-W", "error", "-c", start + script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def older(text: str, version: str = "0.0.9") -> str:
    """The text as another version would have written it."""
    body = re.sub(r"(perflint )\S+, sha256 \w+", rf"\g<1>{version}, sha256 ", text, count=1)
    body = body.replace("class WorkerPool:", "class Pool:")
    return body.replace("sha256 ", f"sha256 {vendor._digest(body)}", 1)


class TestText:
    def test_the_head_says_what_it_is(self) -> None:
        head = TEXT.splitlines()[:7]
        assert re.fullmatch(
            rf"# Written by `perflint vendor` of perflint {VERSION}, sha256 [0-9a-f]{{64}}", head[0]
        )
        assert "Do not edit: run `perflint vendor` again" in head[1]
        assert "SPDX-License-Identifier: MIT" in head[2]
        copyright_line = re.search(r"Copyright \(c\) \d+ The perflint authors", head[2])
        assert copyright_line and copyright_line[0] in (ROOT / "LICENSE").read_text("utf-8")

    def test_the_module_is_whole(self) -> None:
        tree = ast.parse(TEXT)
        package = ast.parse(vendor.package_files()["__init__"])
        assert ast.get_docstring(tree) == ast.get_docstring(package)
        imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert not any(node.level for node in imports)
        assert sum(node.module == "__future__" for node in imports) == 1
        for name, text in vendor.package_files().items():
            doc = (ast.get_docstring(ast.parse(text)) or "").splitlines()[0]
            assert (f'"""{doc}' if name == "__init__" else f"\n# {doc}\n") in TEXT

    def test_it_is_the_same_in_each_run(self) -> None:
        script = "import sys; from perflint.project.vendor import build; sys.stdout.write(build())"
        for seed in ("1", "2"):
            ran = subprocess.run(
                [sys.executable, "-c", script],
                env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                check=True,
            )
            assert ran.stdout.decode().replace(os.linesep, "\n") == TEXT

    def test_all_names_are_there_and_nothing_of_perflint(self, tmp_path: Path) -> None:
        (tmp_path / "perf.py").write_text(TEXT, encoding="utf-8")
        script = """
import perf
from perf import *
print(sorted(set(perf.__all__) - set(globals())))
print([name for name in sys.modules if name.startswith("perflint")])
"""
        ran = alone(script, tmp_path)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "[]\n[]\n", "")
        names = ast.parse(vendor.package_files()["__init__"]).body[-1]
        assert isinstance(names, ast.Assign)
        assert ast.unparse(names) in ast.unparse(ast.parse(TEXT))

    def test_importing_it_loads_no_asyncio(self, tmp_path: Path) -> None:
        (tmp_path / "perf.py").write_text(TEXT, encoding="utf-8")
        assert alone("import perf; assert 'asyncio' not in sys.modules", tmp_path).stderr == ""

    def test_a_circle_of_imports_is_refused(self) -> None:
        files = {"__init__": '"""Doc."""\n', "a": "from .b import x\n", "b": "from .a import y\n"}
        with pytest.raises(CycleError):
            vendor.ordered(files)

    def test_assembling(self) -> None:
        files = {
            "__init__": '"""A \\"package\\".\n\nMore.\n"""\nfrom .z import f\n\n__all__ = ["f"]\n',
            "z": '"""The end."""\nfrom __future__ import annotations\n\nimport os\n'
            "from typing import TYPE_CHECKING\n\nfrom ._a import g\n\nif TYPE_CHECKING:\n    import os\n"
            "    import ast\n    from typing import Any\n\n    class T: ...\n\nf = g  # kept\n",
            "_a": '"""The start.\n\nAnd more."""\nimport sys\nimport os.path as p\nfrom typing import Any\n'
            "\n\ndef g(): ...\n",
        }
        assert vendor.assemble(files, "1.0").partition("# perflint: skip-file\n")[2] == (
            '"""A \\"package\\".\n\nMore.\n"""\n\nfrom __future__ import annotations\n\n'
            "import os\nimport os.path as p\nimport sys\nfrom typing import TYPE_CHECKING, Any\n\n"
            'if TYPE_CHECKING:\n    import ast\n\n__all__ = ["f"]\n\n\n'
            "# The start.\n#\n# And more.\n\ndef g(): ...\n\n\n"
            "# The end.\n\nif TYPE_CHECKING:\n    class T: ...\n\nf = g  # kept\n"
        )

    @pytest.mark.skipif(not importlib.util.find_spec("mypy"), reason="mypy is not installed")
    @pytest.mark.parametrize("version", ["3.10", "3.13"])
    def test_mypy_agrees(self, tmp_path: Path, version: str) -> None:
        (tmp_path / "perf.py").write_text(TEXT, encoding="utf-8")
        command = [sys.executable, "-m", "mypy", "--strict", "--python-version", version, "perf.py"]
        ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stdout + ran.stderr

    @pytest.mark.skipif(not importlib.util.find_spec("ruff"), reason="ruff is not installed")
    def test_ruff_agrees(self, tmp_path: Path) -> None:
        bare = TEXT.replace("# flake8: noqa\n", "").replace("# isort: skip_file\n", "")
        (tmp_path / "whole.py").write_text(TEXT, encoding="utf-8")
        (tmp_path / "bare.py").write_text(bare, encoding="utf-8")
        for options in (["whole.py"], ["bare.py", "--select", "E4,E7,E9,F,I"]):
            command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", *options]
            ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
            assert ran.returncode == 0, ran.stdout + ran.stderr
        command = [sys.executable, "-m", "ruff", "format", "--isolated", "--no-cache", "--check", "whole.py"]
        assert subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode == 0


class TestCommand:
    def test_a_new_file(self, run: Run) -> None:
        code, out, err = run("vendor", "app/perf.py")
        assert (code, out, err) == (0, f'wrote {Path("app/perf.py")}\n{AGAIN}"app.perf"\n', "")
        assert Path("app/perf.py").read_bytes() == TEXT.encode()
        assert [path.name for path in Path("app").iterdir()] == ["perf.py"]
        if os.name == "posix":
            Path("plain").touch()
            assert Path("app/perf.py").stat().st_mode == Path("plain").stat().st_mode

    def test_a_folder(self, run: Run) -> None:
        code, out, _ = run("vendor", "app")
        assert (code, out.splitlines()[0]) == (0, f"wrote {Path('app/perflint_runtime.py')}")
        assert 'runtime-module = "app.perflint_runtime"' in out
        assert Path("app/perflint_runtime.py").read_bytes() == TEXT.encode()

    def test_the_same_again_writes_nothing(self, run: Run) -> None:
        run("vendor", "app/perf.py")
        os.utime("app/perf.py", (1, 1))
        assert run("vendor", "app/perf.py") == (
            0,
            f"{Path('app/perf.py')} is up to date (perflint {VERSION})\n",
            "",
        )
        assert Path("app/perf.py").stat().st_mtime == 1

    @pytest.mark.parametrize("version", ["0.0.9", "99.1.dev3+local"])
    def test_another_version_is_replaced(self, run: Run, version: str) -> None:
        Path("app/perf.py").write_text(older(TEXT, version), encoding="utf-8")
        Path("app/perf.py").chmod(0o640)
        code, out, err = run("vendor", "app/perf.py")
        first = f"updated {Path('app/perf.py')}, from perflint {version} to {VERSION}\n"
        assert (code, out, err) == (0, f'{first}{AGAIN}"app.perf"\n', "")
        assert Path("app/perf.py").read_bytes() == TEXT.encode()
        if os.name == "posix":
            assert Path("app/perf.py").stat().st_mode & 0o777 == 0o640

    def test_line_ends_are_no_edit(self, run: Run) -> None:
        crlf = TEXT.replace("\n", "\r\n").encode()
        Path("app/perf.py").write_bytes(crlf)
        assert "is up to date" in run("vendor", "app/perf.py")[1]
        Path("app/perf.py").write_bytes(older(TEXT).replace("\n", "\r\n").encode())
        assert "updated" in run("vendor", "app/perf.py")[1]
        assert Path("app/perf.py").read_bytes() == crlf

    @pytest.mark.parametrize(
        "edited",
        [
            TEXT.replace("FOREVER = ", "FOREVER  = "),
            TEXT + "\n",
            "# Copyright: us\n" + TEXT,
            TEXT.replace(f"perflint {VERSION}", "perflint 9.9", 1),
            TEXT.replace("# fmt: off\n", "", 1),
            re.sub("sha256 .", "sha256 x", TEXT, count=1),
            re.sub("sha256 .*", "", TEXT, count=1),
            TEXT.partition("\n")[0],
            older(TEXT).replace("Pool", "Basin"),
        ],
    )
    def test_an_edited_file_is_kept(self, run: Run, edited: str) -> None:
        said = refused(run, "app/perf.py", edited.encode())
        assert said.startswith(
            f"perflint: {Path('app/perf.py')}: edited since perflint wrote it; undo the edits"
        )

    @pytest.mark.parametrize("content", [b"", b"x = 1\n", b"\xff\xfe\x00", b"# perflint vendor\n"])
    def test_a_file_of_others_is_kept(self, run: Run, content: bytes) -> None:
        said = refused(run, "app/perf.py", content)
        assert said.startswith(
            f"perflint: {Path('app/perf.py')}: not written by perflint vendor; choose another"
        )

    def test_a_file_of_others_in_a_folder_is_kept(self, run: Run) -> None:
        Path("app/perflint_runtime.py").write_text("x = 1\n")
        assert run("vendor", "app")[0] == 2
        assert Path("app/perflint_runtime.py").read_text() == "x = 1\n"

    @pytest.mark.parametrize(
        ("dest", "message"),
        [
            ("nope/perf.py", "perf.py: not written: no folder nope; create it first"),
            ("a.py/perf.py", "perf.py: not written: no folder a.py; create it first"),
            ("app/perf", "perf: neither a folder nor a name for a .py file; write one such as app/perf.py"),
            ("app/perf.txt", "perf.txt: neither a folder nor"),
            ("nope/", "nope: neither a folder nor"),
            ("app/my-perf.py", "my-perf.py: 'my-perf' cannot be imported; choose another name"),
            ("app/class.py", "class.py: 'class' cannot be imported"),
            ("app/.py", ".py: neither a folder nor"),
            ("app/" + "x" * 300 + ".py", "File name too long"),
        ],
    )
    def test_mistakes(self, run: Run, dest: str, message: str) -> None:
        Path("a.py").touch()
        code, out, err = run("vendor", dest)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert message in err
        assert sorted(str(path) for path in Path().rglob("*")) == ["a.py", "app"]

    def test_no_argument(self, run: Run) -> None:
        assert run("vendor")[::2] == (
            2,
            "perflint: missing argument 'DEST'; see `perflint vendor --help`\n",
        )

    def test_help_names_the_file_in_a_folder(self, run: Run) -> None:
        assert vendor.FILE_NAME in run("vendor", "--help")[1]

    @pytest.mark.skipif(os.name != "posix", reason="needs a FIFO")
    def test_a_pipe_is_not_read(self, run: Run) -> None:
        os.mkfifo("app/perf.py")
        assert "not a regular file" in run("vendor", "app/perf.py")[2]

    @pytest.mark.skipif(os.name != "posix", reason="needs symlinks")
    def test_a_symlink_is_followed(self, run: Run) -> None:
        Path("real").mkdir()
        Path("app/perf.py").symlink_to("../real/perf.py")
        assert '"app.perf"' in run("vendor", "app/perf.py")[1]
        assert Path("app/perf.py").is_symlink()
        assert Path("real/perf.py").read_bytes() == TEXT.encode()

    @pytest.mark.parametrize("content", [None, older(TEXT)], ids=["new", "update"])
    @pytest.mark.parametrize(
        ("step", "error", "reason"),
        [
            ("tempfile.mkstemp", errno.EACCES, "Permission denied"),
            ("tempfile.mkstemp", errno.EROFS, "Read-only file system"),
            ("os.fsync", errno.ENOSPC, "No space left on device"),
            ("pathlib.Path.replace", errno.ENOSPC, "No space left on device"),
        ],
    )
    def test_a_disk_that_refuses(
        self,
        run: Run,
        monkeypatch: pytest.MonkeyPatch,
        content: str | None,
        step: str,
        error: int,
        reason: str,
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise OSError(error, reason)

        if content:
            Path("app/perf.py").write_text(content, encoding="utf-8")
        monkeypatch.setattr(step, fail)
        code, out, err = run("vendor", "app/perf.py")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(f"perflint: {Path('app/perf.py')}: not written ({reason})")
        left = [path.read_text("utf-8") for path in Path("app").iterdir()]
        assert left == ([content] if content else [])

    def test_a_file_made_meanwhile_is_kept(self, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
        real = tempfile.mkstemp

        def slow(**options: object) -> object:
            Path("app/perf.py").write_text("x = 1\n")
            return real(**options)  # type: ignore[call-overload]

        monkeypatch.setattr(tempfile, "mkstemp", slow)
        code, _, err = run("vendor", "app/perf.py")
        assert (code, err) == (
            2,
            f"perflint: {Path('app/perf.py')}: made by others meanwhile; run perflint again\n",
        )
        assert [path.read_text() for path in Path("app").iterdir()] == ["x = 1\n"]

    @pytest.mark.parametrize("command", ["check", "fix"])
    def test_the_linter_passes_over_it(self, run: Run, command: str) -> None:
        run("vendor", "app/perf.py")
        unsafe = ["--unsafe-fixes"] if command == "fix" else []
        code, out, err = run(command, "--select", "ALL", *unsafe, "app")
        assert (code, err) == (0, "")
        assert out.startswith("No findings in 1 file" if command == "check" else "Fixed 0 findings")
        assert Path("app/perf.py").read_bytes() == TEXT.encode()


def refused(run: Run, name: str, content: bytes) -> str:
    """What is said of a file with that content, which stays."""
    Path(name).write_bytes(content)
    code, out, err = run("vendor", name)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert Path(name).read_bytes() == content
    return err


@pytest.mark.parametrize(
    ("made", "dest", "expected"),
    [
        ("", "perf.py", "perf"),
        ("", "app/perf.py", "app.perf"),
        ("src/app/__init__.py", "src/app/perf.py", "app.perf"),
        ("", "src/app/perf.py", "app.perf"),
        ("src/__init__.py", "src/perf.py", "src.perf"),
        ("back/app/__init__.py", "back/app/perf.py", "app.perf"),
        ("back/app/pyproject.toml", "back/app/core/perf.py", "core.perf"),
        ("back-end/setup.cfg", "back-end/core/perf.py", "core.perf"),
        ("", "back-end/core/perf.py", "core.perf"),
        ("app/__init__.py", "app/perf/__init__.py", "app.perf"),
        ("", "app/perf/__init__.py", "app.perf"),
    ],
)
@pytest.mark.parametrize("here", [".", "elsewhere"])
def test_the_module_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, here: str, made: str, dest: str, expected: str
) -> None:
    for name in ("pyproject.toml", "elsewhere/x", made or "x", dest):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path / here)
    assert vendor.module_name(Path(os.path.relpath(tmp_path / dest))) == expected


def test_the_module_name_inside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path / "app")
    assert vendor.module_name(Path("perf.py")) == "app.perf"
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app" / "__init__.py").unlink()
    assert vendor.module_name(Path("app/perf.py")) == "app.perf"


class TestInUse:
    def test_the_contract_holds_without_perflint(self, tmp_path: Path) -> None:
        (tmp_path / "perf.py").write_text(TEXT, encoding="utf-8")
        ran = alone(CONTRACT, tmp_path)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "guarded ValueError\nexit drains\n", "")

    @pytest.mark.slow
    def test_the_tests_of_the_runtime_pass(self, tmp_path: Path) -> None:
        (tmp_path / "perf.py").write_text(TEXT, encoding="utf-8")
        (tmp_path / "stand_in.py").write_text(STAND_IN, encoding="utf-8")
        files = [f"tests/runtime/test_{name}.py" for name in ("stream", "guards", "http", "batch")]
        command = [sys.executable, "-m", "pytest", "-p", "stand_in", "-p", "no:cacheprovider", *files]
        ran = subprocess.run(
            [*command, "tests/runtime/test_worker_pool.py"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr

    def test_a_fixed_program_runs_without_perflint(self, run: Run, tmp_path: Path) -> None:
        Path("pyproject.toml").write_text('[tool.perflint]\nruntime-module = "app.perf"\n')
        Path("app/__init__.py").touch()
        Path("app/fetch.py").write_text(PROGRAM)
        assert run("vendor", "app/perf.py")[0] == 0
        code, out, err = run("fix", "--unsafe-fixes", "--select", "PRF301", ".")
        assert (code, err) == (0, "")
        assert out.startswith("Fixed 1 finding in 1 file: PRF301 1")
        assert Path("app/perf.py").read_bytes() == TEXT.encode()
        fixed = Path("app/fetch.py").read_text()
        assert "from app.perf import bounded_gather\n" in fixed
        assert "await bounded_gather((fetch(u) for u in urls), limit=100)" in fixed
        script = "import runpy; runpy.run_module('app.fetch', run_name='__main__')"
        ran = alone(script, tmp_path)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "500 results\n", "")


CONTRACT = """
import asyncio, importlib.util, threading
from perf import AsyncWorkerPool, WorkerPool, bounded_gather, bounded_map, bounded_stream, guard, retry_submit

assert importlib.util.find_spec("perflint") is None

done, free = [], threading.Event()
with WorkerPool(1, 1) as pool:
    started = threading.Event()
    assert pool.submit(lambda: (started.set(), free.wait(30)))
    assert started.wait(30)
    assert pool.submit(done.append, 1)
    assert not pool.submit(done.append, 2)  # full
    assert not retry_submit(pool, done.append, 3, attempts=2, base=0.001)
    free.set()
stats = pool.stats()
assert (done, stats.completed, stats.rejected) == ([1], 2, 3), stats
assert not pool.submit(print) and pool.closed

with guard("step", on_error=lambda exc, label: print("guarded", type(exc).__name__)):
    raise ValueError

async def main():
    running = most = 0
    async def item(number):
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number
    assert await bounded_gather((item(n) for n in range(100)), limit=7) == list(range(100))
    assert most == 7
    assert [made async for made in bounded_stream(item, range(20), limit=3)] == list(range(20))
    async with AsyncWorkerPool(2, 10) as jobs:
        assert jobs.submit(item, 1)
    assert jobs.stats().completed == 1

asyncio.run(main())

from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(2) as executor:
    assert list(bounded_map(executor, str, range(10), buffersize=3)) == [str(n) for n in range(10)]

last = WorkerPool(1, 1)
assert last.submit(print, "exit drains")
"""

STAND_IN = f"""
import sys
import perf, perflint

perflint.runtime = sys.modules["perflint.runtime"] = perf
for name in {sorted(set(vendor.package_files()) - {"__init__"})}:
    if not hasattr(perf, name):
        setattr(perf, name, perf)
    sys.modules["perflint.runtime." + name] = perf
"""

PROGRAM = """\
import asyncio

running = most = 0


async def fetch(url):
    global running, most
    running += 1
    most = max(most, running)
    await asyncio.sleep(0.01)
    running -= 1
    return url


async def fetch_all(urls):
    return await asyncio.gather(*(fetch(u) for u in urls))


def main(count):
    urls = [str(number) for number in range(count)]
    results = asyncio.run(fetch_all(urls))
    assert results == urls
    assert 1 < most <= 100, most
    print(f"{len(results)} results")


if __name__ == "__main__":
    main(500)
"""
