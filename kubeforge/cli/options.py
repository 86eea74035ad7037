"""Options that many verbs share, and the values they give."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any, Final, TypeVar

import click

__all__ = [
    "INVENTORY_VARIABLE",
    "check",
    "diff",
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

inventory: Final = click.option(
    "-i",
    "--inventory",
    "inventory_path",
    type=click.Path(path_type=Path),
    envvar=INVENTORY_VARIABLE,
    show_envvar=True,
    metavar="PATH",
    help="Folder with hosts.yml and cluster.yml.  [default: . or ./inventory if it holds hosts.yml, else the only lab]",
)
limit: Final = click.option(
    "-l", "--limit", metavar="PATTERN", help="Only these hosts: names, groups, globs; `a:b`, `a:&b`, `a:!b`."
)
tags: Final = click.option(
    "-t", "--tags", multiple=True, callback=lambda _ctx, _param, value: _split(value), metavar="TAG,…",
    help="Only plays and tasks with these tags.",
)  # fmt: skip
forks: Final = click.option("-f", "--forks", type=click.IntRange(min=1), help="Hosts worked on at once.")
verbose: Final = click.option("-v", "--verbose", count=True, help="Show each change; twice: what libraries log, too.")
check: Final = click.option("--check", is_flag=True, help="Only show what would be done; changes nothing.")
diff: Final = click.option("--diff", is_flag=True, help="Show what changes inside of files.")
yes: Final = click.option("-y", "--yes", is_flag=True, help="Do not ask.")
variables: Final = click.option(
    "-e", "--extra-vars", "variables", multiple=True, callback=lambda _ctx, _param, value: _pairs(value),
    metavar="KEY=VALUE", help="A variable for tasks, over all others.",
)  # fmt: skip


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


def _split(values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(tag for value in values for tag in value.split(",") if tag)


def _pairs(values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        key, equals, rest = value.partition("=")
        if not equals or not key.isidentifier():
            raise click.BadParameter(f"`{value}` is not KEY=VALUE")
        pairs[key] = rest
    return pairs
