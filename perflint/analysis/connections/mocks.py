"""Whether a file puts something else in the place of a library's functions."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from perflint.analysis.connections.clients import CALLS, Client
from perflint.analysis.outline import leaf

if TYPE_CHECKING:  # the context holds the analyses of this package
    from perflint.analysis.rule import Context

_PACKAGES = frozenset({"responses", "requests_mock", "respx", "pytest_httpx", "httpretty"})
_REPLACE = {"setattr", "patch", "object"}  # monkeypatch.setattr, mock.patch, mock.patch.object


def mocked(context: Context, client: Client) -> bool:
    """Whether the file replaces the functions of a client: what makes the call another way passes the mock by."""
    outline = context.facts.outline
    if not context.facts.packages.isdisjoint(_PACKAGES):
        return True
    return any(
        leaf(call.func) in _REPLACE
        and call.args
        and client.name in ast.unparse(call.args[0])
        and outline.qualified(call.func) not in CALLS
        for call, _ in outline.calls
    )
