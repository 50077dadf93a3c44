"""The commands as click declares them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

import click

import perflint
from perflint.cli.options import CHECK, FIX, Option, parted
from perflint.model.config import ConfigError

F = TypeVar("F", bound=Callable[..., object])


def invoke(arguments: list[str]) -> int:
    """Do what the arguments say; return the exit code. Raise ConfigError for wrong usage."""
    try:
        with command.make_context("perflint", arguments) as context:
            result = command.invoke(context)
        return result if isinstance(result, int) else 0
    except click.exceptions.Exit as done:
        return done.exit_code
    except click.ClickException as error:
        raise ConfigError(_plain(error)) from None


def _plain(error: click.ClickException) -> str:
    """The message as we write them: lower case, no full stop, the nearest right name."""
    from perflint.project.nearest import nearest_name

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
        name = args[0]
        if not name.startswith("-") and self.get_command(ctx, name) is None:
            from perflint.project.nearest import nearest_name

            path = f"; did you mean 'perflint check {name}'?" if Path(name).exists() else ""
            raise ConfigError(f"no such command {name!r}{path or nearest_name(name, self.commands)}")
        return super().resolve_command(ctx, args)


class _Choice(click.Choice):  # type: ignore[type-arg]  # not generic before click 8.2
    """A choice that names the nearest one."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value not in self.choices:
            from perflint.project.nearest import nearest_name

            self.fail(
                f"{value!r} is none of {', '.join(self.choices)}{nearest_name(value, self.choices)}",
                param,
                ctx,
            )
        return value


def _codes(_context: click.Context, _option: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return parted(values)


_FILE = click.Path(path_type=Path, dir_okay=False)
_PATHS = click.argument("paths", nargs=-1)  # what is wrong with one of them, files.find and reading it say

# What the kinds of options are for click.
_KINDS: dict[str, dict[str, Any]] = {
    "codes": {"multiple": True, "callback": _codes},
    "count": {"type": click.IntRange(min=0)},
    "file": {"type": _FILE},
    "flag": {"is_flag": True},
    "text": {},
}


def _options(options: Iterable[Option]) -> Callable[[F], F]:
    """Declare the options of a command, in the order of `--help`."""

    def declare(function: F) -> F:
        for option in reversed(tuple(options)):
            kind = {"type": _Choice(option.choices)} if option.choices else _KINDS[option.kind]
            shown = (
                {"default": option.default, "show_default": option.shown}
                if option.default is not None
                else {}
            )
            function = click.option(
                *option.flags, option.name, help=option.help, metavar=option.metavar, **shown, **kind
            )(function)
        return function

    return declare


@click.group("perflint", cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(perflint.__version__, message="perflint %(version)s")
def command() -> None:
    """Find performance antipatterns in Python, and fix them.

    CODES are rule codes (PRF101), prefixes of them (PRF1), rule names, categories (text), ALL or
    default; commas part them. A PATH that is - is standard input.
    """


@command.command()
@_PATHS
@_options(CHECK)
def check(paths: tuple[str, ...], **options: Any) -> int:
    """Report what costs more than it needs to."""
    from perflint.cli import checking

    return checking.check(paths, **options)


@command.command()
@_PATHS
@_options(FIX)
def fix(paths: tuple[str, ...], **options: Any) -> int:
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
