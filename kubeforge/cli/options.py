"""Options that many verbs share, and the values they give."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from kubeforge.cli import extra_vars
from kubeforge.cli.vault_options import vault_passwords

if TYPE_CHECKING:
    from kubeforge.engine.playbook import Portion

__all__ = [
    "INVENTORY_VARIABLE",
    "CommandBehind",
    "bulk",
    "check",
    "diff",
    "executor",
    "forks",
    "inventory",
    "limit",
    "output",
    "passwords",
    "tags",
    "variables",
    "verbose",
    "yes",
]

F = TypeVar("F", bound=Callable[..., Any])
INVENTORY_VARIABLE: Final = "KUBEFORGE_INVENTORY"


class CommandBehind(click.Command):
    """A verb whose last words are a command for hosts.

    Where `--` tells the command from what is ours, our options may stand behind the hosts, too.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the words; without `--` all behind the hosts is the command's."""
        ctx.allow_interspersed_args = "--" in args
        ctx.ignore_unknown_options = "--" not in args
        return super().parse_args(ctx, args)


_inventory = click.option(
    "-i",
    "--inventory",
    "inventory_path",
    multiple=True,
    type=click.Path(path_type=Path),
    callback=lambda _ctx, _param, value: value[0] if len(value) == 1 else value or None,
    envvar=INVENTORY_VARIABLE,
    show_envvar=True,
    metavar="PATH",
    help="File, folder or program with the hosts, or `a,b,`; may be given again, later ones win.  [default: the folder "
    "with hosts.yml and cluster.yml: . or ./inventory, else the only lab]",
)
limit: Final = click.option(
    "-l", "--limit", metavar="PATTERN", help="Only these hosts: names, groups, globs; `a:b`, `a:&b`, `a:!b`, `@file`."
)
tags: Final = click.option(
    "-t", "--tags", multiple=True, callback=lambda _ctx, _param, value: _split(value), metavar="TAG,…",
    help="Only plays and tasks with these tags.",
)  # fmt: skip
forks: Final = click.option("-f", "--forks", type=click.IntRange(min=1), help="Hosts worked on at once.")
bulk: Final = click.option(
    "--bulk", metavar="N|N%", callback=lambda _ctx, _param, value: _portion(value),
    help="At most so many hosts at a time: the rest of a play waits until they have ended it.",
)  # fmt: skip
executor: Final = click.option(
    "--executor", metavar="dask://HOST:PORT", help="Have workers near the hosts talk to them; see docs/runs.md."
)
verbose: Final = click.option("-v", "--verbose", count=True, help="Show each change; twice: what libraries log, too.")
check: Final = click.option("--check", is_flag=True, help="Only show what would be done; changes nothing.")
diff: Final = click.option("--diff", is_flag=True, help="Show what changes inside of files.")
yes: Final = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
variables: Final = click.option(
    "-e", "--extra-vars", "variables", multiple=True, callback=lambda _ctx, _param, value: extra_vars.read(value),
    metavar="KEY=VALUE", help="A variable for tasks, over all others; also `{KEY: VALUE}` or `@FILE` with such.",
)  # fmt: skip


def inventory(function: F) -> F:
    """Add the options that say which inventory, and how what is encrypted in it is opened (see vault_options)."""
    return _inventory(vault_passwords(function))


_ask_pass = click.option(
    "-k", "--ask-pass", is_flag=True, help="Ask for the password to log in with, where the inventory names none."
)
_ask_become_pass = click.option(
    "-K", "--ask-become-pass", is_flag=True, help="Ask for sudo's password, where the inventory names none."
)


def passwords(*, become: bool = True) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return the options that have passwords asked for; they are handed over as one value, `asked`.

    Args:
        become: whether the verb ever uses sudo.
    """

    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @wraps(function)
        def command(*, ask_pass: bool, ask_become_pass: bool = False, **given: Any) -> None:
            from kubeforge.cli.passwords import Asked  # noqa: PLC0415 - --help needs no terminal

            function(asked=Asked(login=ask_pass, become=ask_become_pass), **given)

        return _ask_pass(_ask_become_pass(command) if become else command)

    return decorate


def output(*kinds: str) -> Callable[[F], F]:
    """Return the option that says in which form a verb answers; the first kind is the default."""
    return click.option(
        "-o", "--output", type=click.Choice(kinds), default=kinds[0], show_default=True, help="Form of the answer."
    )


def _portion(value: str | None) -> Portion | None:
    if value is None:
        return None
    from kubeforge.engine.playbook import Portion  # noqa: PLC0415 - --help needs no playbook

    number = value.removesuffix("%")
    if not number.isdecimal() or int(number) < 1 or (value.endswith("%") and int(number) > 100):
        raise click.BadParameter("a number of hosts (at least 1) or a percentage (30%) is expected")
    return Portion(int(number), percent=value.endswith("%"))


def _split(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(tag for value in values for tag in value.split(",") if tag)
