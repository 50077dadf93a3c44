"""Programs run as users run them: in a process of their own, with a deadline."""

import subprocess
import sys
import textwrap
from typing import NamedTuple

from perflint.analysis import engine
from perflint.fixing.fixer import fix
from perflint.model.config import Config
from perflint.model.diagnostics import Applicability
from perflint.model.source import Source

DEADLINE = 30  # seconds; only a program that hangs meets it


class Ended(NamedTuple):
    code: int | None  # None: it had to be killed
    out: str
    err: str


def run(program: str, deadline: float = DEADLINE) -> Ended:
    """Run a program; one that does not end by itself within `deadline` seconds is killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        out, err = process.communicate(timeout=deadline)
        return Ended(process.returncode, out, err)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        return Ended(None, out, err)


def fixed(rule: str, program: str, **options: object) -> str:
    """The program after all fixes of one rule; it must have had some."""
    config = Config(select=(rule,), **options)
    source = Source("program.py", textwrap.dedent(program).encode())
    result = fix(source, lambda text: engine.check(text, config), Applicability.UNSAFE)
    assert not result.defects, result.defects
    assert result.source.data != source.data, f"{rule} fixes nothing"
    return result.source.text
