"""The flake8 plugin: the findings of `perflint check`, at the same lines and columns.

What applies is flake8's selection on top of `[tool.perflint]`. Naming a rule in flake8's
`select` or `extend-select` by its full code also turns on one that is off by default. Comments
are obeyed as `perflint check` obeys them; with `--disable-noqa` every `# noqa` is left alone.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import perflint
from perflint.analysis import engine
from perflint.model.config import Config, ConfigError
from perflint.model.source import Source, SourceError
from perflint.project import files, settings
from perflint.reports.style import escape

Report = tuple[int, int, str, type]


class Plugin:
    """Made by flake8 for each file it could parse."""

    name = "perflint"
    version = perflint.__version__

    _config: ClassVar[Config] = Config()
    _root: ClassVar[Path] = Path()
    _noqa: ClassVar[bool] = True
    _stdin: ClassVar[bool] = False

    def __init__(self, tree: ast.Module, filename: str, lines: Sequence[str]) -> None:
        self.tree = tree
        self.path = Path(filename)
        self.lines = lines

    @staticmethod
    def add_options(manager: Any) -> None:
        manager.add_option(
            "--perflint-config",
            metavar="FILE",
            parse_from_config=True,
            normalize_paths=True,
            help="Settings of perflint: a pyproject.toml or perflint.toml, instead of the nearest one.",
        )

    @classmethod
    def parse_options(cls, options: argparse.Namespace) -> None:
        """Read the settings once, from where `perflint check` would for the same paths."""
        cls._stdin = "-" in options.filenames
        names = [options.stdin_display_name] if cls._stdin else options.filenames
        file = Path(options.perflint_config) if options.perflint_config else None
        named = [*(options.select or ()), *(options.extend_select or ())]
        try:
            start = settings.common_folder(names)
            config, cls._root = settings.load(start, file)
            ours = tuple(code for code in named if re.fullmatch(r"PRF\d{3}", code))
            cls._config = config._replace(extend_select=(*config.extend_select, *ours))
        except ConfigError as error:
            from flake8.exceptions import ExecutionError  # type: ignore[import-untyped]

            raise ExecutionError(f"perflint: {error}") from None
        cls._noqa = not options.disable_noqa

    def run(self) -> Iterator[Report]:
        """Yield `(line, column from 0, "CODE message", type)`."""
        if files.excluded(self.path, self._root, self._config.exclude):
            return
        try:
            source = Source(str(self.path), self._raw())
        except (SourceError, OSError) as error:
            yield 1, 0, f"PRF000 {escape(str(error))}", type(self)
            return
        config = settings.for_file(self._config, self._root, self.path)
        for finding in engine.inspect(source, config, tree=self.tree, noqa=self._noqa).active:
            line, column = source.position(finding.span.start)
            yield line, column - 1, f"{finding.code} {escape(finding.message)}", type(self)

    def _raw(self) -> bytes:
        """The file's bytes; flake8's lines have another line end, and another encoding where it had to guess."""
        if self._stdin:
            return "".join(self.lines).encode("utf-8")
        return self.path.read_bytes()
