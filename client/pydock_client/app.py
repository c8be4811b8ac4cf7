"""The command line as a typer application: help, shell completion, and embedding in other typer programs.

Built from the tables that main.py uses, so that it can never know other commands or flags. A command's module is
imported when its flags are needed. Parsing stays with flags.py, whose rules are docker's.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from . import catalog, helptext
from .flags import BOOL, Options
from .settings import GLOBAL_FLAGS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from .flags import Flag

NAME = "pydock"


def _parameters(flags: Iterable[Flag]) -> list[inspect.Parameter]:
    """Return flags as the parameters of a function that typer reads."""
    made = []
    for flag in flags:
        names = [f"-{flag.short}"] * bool(flag.short) + [f"--{flag.long}"]
        kind: Any = bool if flag.kind is BOOL else list[str] if flag.kind.many else str
        option = typer.Option(*names, help=flag.help, hidden=flag.hidden)
        made.append(
            inspect.Parameter(
                f"flag_{flag.long.replace('-', '_')}",
                inspect.Parameter.KEYWORD_ONLY,
                default=[] if flag.kind.many else flag.value if flag.kind is BOOL else "",
                annotation=Annotated[kind, option],
            )
        )
    return made


def _function(flags: Iterable[Flag]) -> Any:
    """Return a function whose signature has a parameter for each flag; it is read, never called."""

    def command(**options: Any) -> None: ...

    parameters = _parameters(flags)
    words = Annotated[list[str], typer.Argument(help="Names and words")]
    parameters.append(
        inspect.Parameter("arguments", inspect.Parameter.KEYWORD_ONLY, default=[], annotation=words),
    )
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return command


def _made(name: str, summary: str, function: Any, cls: type[TyperCommand]) -> Any:
    one = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    one.command(name, cls=cls, help=summary, add_help_option=False)(function)
    return get_command(one)


class _Command(TyperCommand):
    """One command: its flags are loaded for completion, its words parsed by its own table."""

    full_name = ""

    def get_params(self, ctx: Any) -> list[Any]:
        """Return the flags, for completion."""
        flags = catalog.BY_NAME[self.full_name].load().flags
        return list(_made(self.name or "", "", _function(flags), TyperCommand).params)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Keep the words for `invoke`, unless a shell only wants to know what may follow."""
        if ctx.resilient_parsing:
            super().parse_args(ctx, args)
            return []
        ctx.args = list(args)
        return list(args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command as main.py does and end with its exit code."""
        from .main import run_command

        raise typer.Exit(run_command(self.full_name, ctx.find_root().obj or Options(GLOBAL_FLAGS), ctx.args))


class _Group(TyperGroup):
    """The program itself, or a group of commands."""

    group = ""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names below this group."""
        names = [name for name, _ in catalog.members(self.group)]
        return sorted([*names, *catalog.GROUPS]) if not self.group else names

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command or a group by its name."""
        full_name = f"{self.group} {cmd_name}".strip()
        if full_name in catalog.BY_NAME:
            made = _made(cmd_name, catalog.BY_NAME[full_name].summary, lambda: None, _Command)
            made.full_name = full_name
            return made
        return _group(cmd_name) if not self.group and cmd_name in catalog.GROUPS else None

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help in docker's layout."""
        formatter.write(helptext.of_group(self.group) if self.group else helptext.of_program())


def _group(name: str) -> Any:
    made = typer.Typer(
        name=name or NAME,
        cls=_Group,
        help=catalog.GROUPS.get(name),
        add_completion=not name,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
    )

    @made.callback()
    def callback() -> None: ...

    group: Any = get_command(made)
    group.group = name
    return group


def application() -> Any:
    """Return the whole command line as typer's command object, for `main` or for tests."""
    return _group("")


def call(words: list[str]) -> int:
    """Run the application: `--help`, a shell that asks for completion, or any command line."""
    try:
        application()(words, prog_name=NAME)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    return 0


def help_of(name: str) -> None:
    """Print the help of a command."""
    typer.echo(helptext.of_command(name, catalog.BY_NAME[name].load()), nl=False)
