"""Programs before and after perflint's own fixes."""

import textwrap

from perflint.analysis import engine
from perflint.fixing.fixer import fix
from perflint.model.config import Config
from perflint.model.diagnostics import Applicability
from perflint.model.source import Source


def repaired(rule: str, head: str, program: str, allow: Applicability) -> tuple[str, str]:
    """`head` and the program, before and after the fixes of one rule; its fixes must all be of the grade `allow`."""
    source = Source("program.py", (head + "\n" + textwrap.dedent(program)).encode())
    config = Config(select=(rule,))
    grades = {item.fix.applicability for item in engine.check(source, config) if item.fix is not None}
    assert grades == {allow}, f"{rule} grades them {grades}"
    result = fix(source, lambda text: engine.check(text, config), allow)
    assert not result.defects, result.defects
    return source.text, result.source.text
