"""The files of the runtime concatenate into one module: no name means two things, and nothing else is needed."""

import ast
import sys
from collections import Counter
from pathlib import Path

from runtime_helpers import script

from perflint.project import vendor

FILES = vendor.package_files()


def defined(text: str) -> set[str]:
    names: set[str] = set()
    for node in ast.parse(text).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names.update(n.id for target in targets for n in ast.walk(target) if isinstance(n, ast.Name))
    return names


def test_no_name_means_two_things() -> None:
    counts = Counter(name for text in FILES.values() for name in defined(text))
    assert [name for name, count in counts.items() if count > 1] == []


def test_only_the_standard_library() -> None:
    for text in FILES.values():
        for node in ast.walk(ast.parse(text)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            assert all(name.partition(".")[0] in sys.stdlib_module_names for name in names), names


def test_one_file_works_alone(tmp_path: Path) -> None:
    (tmp_path / "perf.py").write_text(vendor.build(), encoding="utf-8")
    ran = script(
        f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import asyncio, perf
with perf.WorkerPool(2, 10) as pool:
    assert pool.submit(print, "task")
async def item(number):
    return number
async def main():
    assert await perf.bounded_gather((item(n) for n in range(50)), limit=3) == list(range(50))
    async with perf.AsyncWorkerPool(1, 1) as pool:
        assert pool.submit(item, 1)
    if sys.version_info >= (3, 11):
        async with perf.BoundedTaskGroup(2) as group:
            await group.spawn(item, 1)
asyncio.run(main())
with perf.guard("x", on_error=lambda exc, label: print("guarded")):
    raise ValueError
print([name for name in sys.modules if name.startswith("perflint")])
"""
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "task\nguarded\n[]\n", "")
