"""What came of checking one file: the value that workers send home and reports print."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

from perflint.model.diagnostics import Finding
from perflint.model.source import Source, SourceError


class _Fields(NamedTuple):
    path: str
    active: tuple[Finding, ...] = ()
    suppressed: tuple[Finding, ...] = ()
    raw: bytes | None = None


class Outcome(_Fields):
    """The findings of one file, sorted by place, and its bytes where there is one to show."""

    @cached_property
    def source(self) -> Source | None:
        """The file's text; None where it could not be read, or holds no finding."""
        if self.raw is None:
            return None
        try:
            return Source(self.path, self.raw)
        except SourceError:
            return None
