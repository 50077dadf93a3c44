"""Runs a command line: whatever goes wrong becomes one line and an exit code."""

from __future__ import annotations

import os
import sys

from perflint.project import replay

WRONG, INTERRUPTED, CLOSED = 2, 130, 141  # exit codes


def run(arguments: list[str]) -> int:
    """Run `perflint` with these arguments; return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = replay.answer(arguments)
        if code is None:
            code = _invoke(arguments)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED
    except Exception as error:
        from perflint.model.config import ConfigError

        if not isinstance(error, (ConfigError, OSError)):
            raise
        return _fail(str(error), WRONG)


def _invoke(arguments: list[str]) -> int:
    from perflint.cli import options

    plain = options.read(arguments)
    if plain is not None:
        from perflint.cli import checking

        return checking.check(plain.paths, **plain.options, recording=replay.Recording(arguments))
    from perflint.cli import commands  # with click, which takes as long to load as all that a warm run does

    return commands.invoke(arguments)


def _fail(message: str, code: int) -> int:
    print(f"perflint: {' '.join(message.split())}", file=sys.stderr)
    return code
