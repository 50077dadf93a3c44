"""Runs a command line: whatever goes wrong becomes one line and an exit code."""

from __future__ import annotations

import os
import sys

from perflint.cli.options import read
from perflint.model.config import ConfigError

WRONG, INTERRUPTED, CLOSED = 2, 130, 141  # exit codes


def run(arguments: list[str]) -> int:
    """Run `perflint` with these arguments; return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _invoke(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED
    except (ConfigError, OSError) as error:
        return _fail(str(error), WRONG)


def _invoke(arguments: list[str]) -> int:
    plain = read(arguments)
    if plain is not None:
        from perflint.cli import checking

        return checking.check(plain.paths, **plain.options)
    from perflint.cli import commands  # with click, which takes as long to load as all that a warm run does

    return commands.invoke(arguments)


def _fail(message: str, code: int) -> int:
    print(f"perflint: {' '.join(message.split())}", file=sys.stderr)
    return code
