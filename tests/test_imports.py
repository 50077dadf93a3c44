"""Where an import goes, and when there is one already."""

from __future__ import annotations

import ast
import re

import pytest

from perflint.fixing.edits import apply
from perflint.fixing.imports import import_edit, runtime_import
from perflint.model.config import Config, Target
from perflint.model.source import Source

USE = "def f(xs):\n    return sum(xs, [])\n"

# The text between << and >> is what must be added.
PLACES = {
    "below an import": "import os\n<<from itertools import chain\n>>\n\n" + USE,
    "below the last of several": "import os  # the system\nfrom sys import (\n    argv,\n)\n<<from itertools import chain\n>>\n"
    + USE,
    "below a docstring": '"""Doc."""\n<<\nfrom itertools import chain\n>>\n' + USE,
    "below a docstring with code right after": '"""Doc."""  # why\n<<\nfrom itertools import chain\n\n>>'
    + USE,
    "below __future__": "from __future__ import annotations\n<<\nfrom itertools import chain\n>>\n" + USE,
    "above a function": "<<from itertools import chain\n\n\n>>" + USE,
    "above a decorator": "<<from itertools import chain\n\n\n>>@cache\n" + USE,
    "above a statement": "<<from itertools import chain\n\n>>X = 1\n" + USE,
    "above a comment that sticks to the code": "<<from itertools import chain\n\n\n>># explains f\n" + USE,
    "below a shebang": "#!/usr/bin/env python\n<<from itertools import chain\n\n\n>># explains f\n" + USE,
    "below a coding line": "#!/usr/bin/env python\n# coding: utf-8\n<<from itertools import chain\n\n\n>>"
    + USE,
    "below a coding line in the second line": "\n# -*- coding: utf-8 -*-\n<<from itertools import chain\n\n\n>>"
    + USE,
    "below a licence": "# Copyright.\n# Some rights reserved.\n\n<<from itertools import chain\n\n\n>>" + USE,
    "below a coding line and a licence": "# coding: utf-8\n# Copyright.\n\n\n<<from itertools import chain\n\n>>X = 1\n"
    + USE,
    "past a conditional import": "import os\nif os:\n    import re\nimport sys\n<<from itertools import chain\n>>"
    + USE,
    "past a guarded import": "try:\n    import a\nexcept ImportError:\n    a = None\nimport os\n<<from itertools import chain\n>>"
    + USE,
    "past __all__": "__all__ = ['f']\nimport os\n<<from itertools import chain\n>>" + USE,
    "not inside TYPE_CHECKING": "import os\n<<from itertools import chain\n>>if TYPE_CHECKING:\n    import re\n"
    + USE,
    "not inside try": "import os\n<<from itertools import chain\n>>try:\n    import re\nexcept ImportError:\n    pass\n"
    + USE,
    "before the first call": "import os\n<<from itertools import chain\n>>os.umask(0)\nimport sys\n" + USE,
    "before the first comprehension": "import os\n<<from itertools import chain\n>>X = [c for c in '']\nimport sys\n"
    + USE,
    "form feeds": "\x0cimport os\n<<from itertools import chain\n>>\x0c\n" + USE,
    "a form feed first": "<<from itertools import chain\n\n\n>>\x0c" + USE,
    "a semicolon": "import os<<; from itertools import chain>>; X = sum([], [])\n",
    "a last semicolon": "import os<<; from itertools import chain>>;\n" + USE,
    "a docstring with a semicolon": '"""Doc."""<<; from itertools import chain>>; X = 1\n' + USE,
    "a continued semicolon": "import os<<; from itertools import chain>> \\\n; X = 1\n" + USE,
    "a line before the semicolon": "X = 1; import os\n<<from itertools import chain\n>>" + USE,
    "no final newline": "import os<<\nfrom itertools import chain>>",
    "__future__ without a final newline": "from __future__ import annotations<<\n\nfrom itertools import chain>>",
    "a docstring without a final newline": '"""Doc."""<<\n\nfrom itertools import chain>>',
    "code without a final newline": "<<from itertools import chain\n\n>>X = sum(Y, [])",
    "not ASCII": '"""é漢"""; é = "🙂"; import os\n<<from itertools import chain\n>>' + USE,
}


def parsed(text: str) -> tuple[Source, ast.Module]:
    source = Source("x.py", text.encode())
    return source, ast.parse(source.text)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
@pytest.mark.parametrize("text", PLACES.values(), ids=PLACES)
def test_place(text: str, newline: str) -> None:
    if newline == "\r" and "\\" in text:
        pytest.skip("Python reads no continued line that ends in a bare CR")
    bare = re.sub("<<.*?>>", "", text, flags=re.DOTALL)
    source, tree = parsed(bare.replace("\n", newline))
    answer = import_edit(source, tree, "itertools", "chain")
    assert answer is not None
    name, edit = answer
    assert name == "chain"
    assert edit is not None
    fixed = apply(source.data, [edit], source.newline).decode()
    assert fixed == re.sub("<<|>>", "", text).replace("\n", newline if "\n" in bare else "\n")
    ast.parse(fixed)


def written(
    text: str, module: str = "itertools", name: str | None = "chain", taken: tuple[str, ...] = ()
) -> str | None:
    """How the file would write the name; in front of it the import that it would add."""
    answer = import_edit(*parsed(text), module, name, taken)
    if answer is None:
        return None
    expression, edit = answer
    return f"{edit.text.strip()} | {expression}" if edit else expression


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from itertools import chain\n", "chain"),
        ("from itertools import chain as c, count\n", "c"),
        ("import itertools\n", "itertools.chain"),
        ("import itertools as it\n", "it.chain"),
        ("import itertools\nfrom itertools import chain\n", "chain"),
        ("from itertools import chain\nfrom itertools import chain\n", "chain"),
        ("import itertools\nif A:\n    import other\n", "itertools.chain"),
        ('"""Doc."""\nfrom __future__ import annotations\nimport os, itertools as it\n', "it.chain"),
    ],
)
def test_reuses_an_import(text: str, expected: str) -> None:
    assert written(text + USE) == expected


@pytest.mark.parametrize(
    "shadow",
    [
        "if TYPE_CHECKING:\n    from itertools import chain\n",
        "try:\n    from itertools import chain\nexcept ImportError:\n    pass\n",
        "from .itertools import chain\n",
        "from more import chain\n",
        "from itertools import chain\nchain = None\n",
        "from itertools import chain\ndef g():\n    from itertools import chain\n",
        "from itertools import chain\ndef g(chain): pass\n",
        "from itertools import chain\ndel chain\n",
        "from itertools import chain\nfrom other import chain\n",
        "f()\nfrom itertools import chain\n",
        "def chain(): pass\n",
        "class A:\n    chain = 1\n",
        "async def chain(): pass\n",
        "class chain: pass\n",
        "for chain in x: pass\n",
        "with a as chain: pass\n",
        "try: pass\nexcept E as chain: pass\n",
        "def g(*chain): pass\n",
        "def g():\n    global chain\n",
        "def g():\n    chain = 1\n    def h():\n        nonlocal chain\n",
        "lambda chain: 1\n",
        "[0 for chain in x]\n",
        "(chain := 1)\n",
        "print(chain)\n",
        "match x:\n    case [chain]: pass\n",
        "match x:\n    case [*chain]: pass\n",
        "match x:\n    case {1: 2, **chain}: pass\n",
        "match x:\n    case 1 as chain: pass\n",
        "import chain\n",
        "import chain.link\n",
        "import a as chain\n",
    ],
)
def test_a_name_in_use_is_not_bound_again(shadow: str) -> None:
    assert written(shadow + USE) == "import itertools | itertools.chain"


@pytest.mark.parametrize(
    "shadow",
    [
        "from os import *\n",
        "if A:\n    from os import *\n",
        "chain = itertools = None\n",
        "from other import chain, itertools\n",
        "def g(chain, itertools): pass\n",
        "print(chain, itertools)\n",
        "from itertools import chain\nchain = 1\nif A:\n    import itertools\n",
    ],
)
def test_doubt_means_no_fix(shadow: str) -> None:
    assert written(shadow + USE) is None


def test_names_that_the_caller_needs_are_left_free() -> None:
    assert written(USE, taken=("chain",)) == "import itertools | itertools.chain"
    assert written(USE, taken=("chain", "itertools")) is None
    assert written("from itertools import chain\n" + USE, taken=("chain",)) == "chain"


@pytest.mark.parametrize(
    ("text", "module", "name", "expected"),
    [
        ("", "itertools", None, "import itertools | itertools"),
        ("import itertools as it\n", "itertools", None, "it"),
        ("itertools = 1\n", "itertools", None, None),
        ("", "concurrent.futures", None, "import concurrent.futures | concurrent.futures"),
        ("import concurrent.futures\n", "concurrent.futures", None, "concurrent.futures"),
        ("import concurrent.futures\n", "concurrent.futures", "wait", "concurrent.futures.wait"),
        ("from concurrent import futures as cf\n", "concurrent.futures", "wait", "cf.wait"),
        ("import concurrent.futures as cf\n", "concurrent.futures", "wait", "cf.wait"),
        ("import os\n", "os.path", "join", "from os.path import join | join"),
        ("import os, os.path\n", "os.path", "join", "os.path.join"),
        ("import concurrent.futures\nconcurrent = 1\n", "concurrent.futures", None, None),
        ("", "perflint.runtime", "bounded_map", "from perflint.runtime import bounded_map | bounded_map"),
    ],
)
def test_modules_and_dotted_modules(text: str, module: str, name: str | None, expected: str | None) -> None:
    assert written(text + USE, module, name) == expected


def test_type_parameters_are_names() -> None:
    try:
        tree = ast.parse("def g[chain](x: chain): pass\n" + USE)
    except SyntaxError:
        pytest.skip("this Python has no type parameters")
    answer = import_edit(Source("x.py", b""), tree, "itertools", "chain", ("itertools",))
    assert answer is None


def runtime(text: str, config: Config, taken: tuple[str, ...] = ()) -> str | None:
    answer = runtime_import(*parsed(text + USE), config, "guard", taken)
    return answer and (f"{answer[1].text.strip()} | {answer[0]}" if answer[1] else answer[0])


def test_the_runtime_is_imported_from_where_the_project_has_it() -> None:
    ours = Config(runtime_fixes=True)
    own = Config(runtime_fixes=True, runtime_module="app.perf")
    assert runtime("", ours) == "from perflint.runtime import guard | guard"
    assert runtime("", own) == "from app.perf import guard | guard"
    assert runtime("from app import perf\n", own) == "perf.guard"
    assert runtime("from perflint.runtime import guard\n", own) == "import app.perf | app.perf.guard"
    assert runtime("", own, taken=("guard",)) == "import app.perf | app.perf.guard"
    assert runtime("from os import *\n", own) is None


def test_the_runtime_is_imported_only_where_it_is_wanted_and_runs() -> None:
    assert runtime("", Config()) is None
    assert runtime("", Config(runtime_module="app.perf")) is None
    assert runtime("", Config(runtime_fixes=True, target=Target((3, 9), (3, 13)))) is None
    assert runtime("", Config(runtime_fixes=True, target=Target((3, 10), (3, 10)))) is not None
    assert runtime("from perflint.runtime import guard\n", Config()) is None


def test_a_submodule_is_imported_beside_its_package() -> None:
    assert written("import a\nb = 1\n", "a.c", "b") == "import a.c | a.c.b"
    assert written("import a\nb = a = 1\n", "a.c", "b") is None
