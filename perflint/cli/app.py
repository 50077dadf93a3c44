"""Commands and options, and how errors become one line and an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

import perflint
from perflint.model.config import ConfigError

F = TypeVar("F", bound=Callable[..., object])

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
    except click.exceptions.Exit as done:
        return done.exit_code
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:  # the reader, `head` for one, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return CLOSED
    except (ConfigError, OSError) as error:
        return _fail(str(error), WRONG)
    except click.ClickException as error:
        return _fail(_plain(error), WRONG)


def _invoke(arguments: list[str]) -> int:
    with command.make_context("perflint", arguments) as context:
        result = command.invoke(context)
    return result if isinstance(result, int) else 0


def _fail(message: str, code: int) -> int:
    print(f"perflint: {' '.join(message.split())}", file=sys.stderr)
    return code


def _plain(error: click.ClickException) -> str:
    """The message as we write them: lower case, no full stop, the nearest right name."""
    from perflint.project.settings import nearest_name

    message = error.format_message()
    if isinstance(error, click.NoSuchOption):
        message = f"no such option {error.option_name!r}{nearest_name(error.option_name, error.possibilities or ())}"
    elif isinstance(error, click.UsageError):
        help_option = f"{error.ctx.command_path} --help" if error.ctx else "perflint --help"
        message = message[:1].lower() + message[1:].rstrip(".")
        message += "" if "did you mean" in message else f"; see `{help_option}`"
    return message


class _Commands(click.Group):
    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does, with the nearest command where there is none of that name."""
        from perflint.project.settings import nearest_name

        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            path = f"; did you mean 'perflint check {name}'?" if Path(name).exists() else ""
            raise ConfigError(f"no such command {name!r}{path or nearest_name(name, self.commands)}")
        return super().resolve_command(ctx, args)


class _Choice(click.Choice):  # type: ignore[type-arg]  # not generic before click 8.2
    """A choice that names the nearest one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        from perflint.project.settings import nearest_name

        if value not in self.choices:
            self.fail(
                f"{value!r} is none of {', '.join(self.choices)}{nearest_name(value, self.choices)}",
                param,
                ctx,
            )
        return value


def _codes(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(code.strip() for value in values for code in value.split(",") if code.strip())


_SEVERITY = _Choice(["info", "warning", "error"])
_CODES: dict[str, Any] = {"multiple": True, "metavar": "CODES", "callback": _codes}
_FILE = click.Path(path_type=Path, dir_okay=False)
_PATHS = click.argument("paths", nargs=-1, type=click.Path(path_type=Path, allow_dash=True))

# What both `check` and `fix` take, in the order of `--help`.
_SHARED = (
    click.option("--select", help="Rules to use instead of the default ones.", **_CODES),
    click.option("--extend-select", help="Rules to use as well.", **_CODES),
    click.option("--ignore", help="Rules not to use.", **_CODES),
    click.option("--min-severity", type=_SEVERITY, help="Leave out what is less severe."),
    click.option("--fail-level", type=_SEVERITY, help="The least severe finding that makes the exit code 1."),
    click.option(
        "--target-version", metavar="VERSION", help='The Python the code runs on: 3.11, or ">=3.10".'
    ),
    click.option("--config", "config_file", type=_FILE, help="Use this pyproject.toml or perflint.toml."),
    click.option("--stdin-filename", metavar="FILE", help="What the text from standard input is called."),
    click.option(
        "--jobs", "-j", type=click.IntRange(min=0), default=0, help="Processes; 0 decides by the work."
    ),
    click.option("--quiet", "-q", is_flag=True, help="No summary, no progress."),
)


def _shared(function: F) -> F:
    for option in reversed(_SHARED):
        function = option(function)
    return function


@click.group("perflint", cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(perflint.__version__, message="perflint %(version)s")
def command() -> None:
    """Find performance antipatterns in Python, and fix them.

    CODES are rule codes (PRF101), prefixes of them (PRF1), rule names, categories (text), ALL or
    default; commas part them. A PATH that is - is standard input.
    """


@command.command()
@_PATHS
@_shared
@click.option(
    "--output-format", type=_Choice(["text", "concise", "json", "github"]), default="text", show_default=True
)
@click.option("--output-file", type=_FILE, help="Write the report there.")
@click.option("--statistics", is_flag=True, help="Only count the findings of each rule.")
@click.option("--shard", metavar="K/N", help="Check only part K of N of the files, by their paths.")
@click.option(
    "--cluster", metavar="ADDRESS", help="Check on this Dask cluster; `local` starts one on this machine."
)
def check(paths: tuple[Path, ...], **options: Any) -> int:
    """Report what costs more than it needs to."""
    from perflint.cli import checking

    return checking.check(paths, **options)


@command.command()
@_PATHS
@_shared
@click.option("--unsafe-fixes", is_flag=True, help="Apply fixes that may change behaviour, too.")
@click.option("--diff", is_flag=True, help="Print what would change, write nothing.")
def fix(paths: tuple[Path, ...], **options: Any) -> int:
    """Apply the safe fixes, and report what remains."""
    from perflint.cli import fixing

    return fixing.fix(paths, **options)


@command.command()
@click.argument("rule")
def explain(rule: str) -> None:
    """Say what a rule (code or name) flags, why, and what it gains."""
    from perflint.cli import rules

    click.echo(rules.explain(rule))


@command.command("rules")
@click.option("--output-format", type=_Choice(["text", "json"]), default="text", show_default=True)
def list_rules(output_format: str) -> None:
    """List all rules."""
    from perflint.cli import rules

    click.echo(rules.as_json() if output_format == "json" else rules.as_table())


@command.command()
@click.argument("codes", nargs=-1)
@click.option("--sizes", help="Input sizes, such as 100,10000.")
@click.option("--record", "record_to", type=_FILE, help="Merge the figures into this file.")
@click.option("--output-format", type=_Choice(["text", "json"]), default="text", show_default=True)
def bench(codes: tuple[str, ...], sizes: str | None, record_to: Path | None, output_format: str) -> None:
    """Measure what rules gain on this interpreter; without CODES, all of them."""
    from perflint.evidence import bench

    try:
        numbers = [int(size) for size in sizes.split(",")] if sizes else None
    except ValueError:
        raise ConfigError(f"--sizes {sizes!r} is not a list of numbers such as 100,10000") from None
    click.echo(bench.main(codes, sizes=numbers, record_to=record_to, output_format=output_format))


@command.command()
@click.argument("dest", type=click.Path(path_type=Path))
def vendor(dest: Path) -> None:
    """Write the runtime as one module of your own, or update it.

    DEST is a file, such as app/perf.py, or a folder, in which it is called perflint_runtime.py. A file
    that perflint did not write, or that was edited since, is left alone.
    """
    from perflint.cli import vendoring

    click.echo(vendoring.vendor(dest))


@command.command("new-rule")
@click.argument("name")
@click.option("--category", default="text", show_default=True, help="The family that the rule joins.")
def new_rule(name: str, category: str) -> None:
    """Write the files of a new rule into this checkout."""
    from perflint.project import scaffold

    for path in scaffold.new_rule(Path(), name, category):
        click.echo(f"wrote {path}")
