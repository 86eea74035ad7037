"""Options of `kubeforge token …` and the values they give; what is wrong with a word is said before a host is asked."""

# ruff: noqa: PLC0415 - completion and --help of everything else must not wait for what only these options need
from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeVar

import click

if TYPE_CHECKING:
    from kubeforge.pki.tokens import BootstrapToken

__all__ = ["bearers", "description", "from_file", "given_token", "groups", "ids", "ttl", "usages"]

T = TypeVar("T")
_USAGES: Final = ("authentication", "signing")
_NODE_GROUP: Final = "system:bootstrappers:kubeadm:default-node-token"


def _parsed(parse: Callable[[Any], T]) -> Callable[[click.Context, click.Parameter, Any], T]:
    """Return a callback of click that parses a value; ValueError becomes a message about the option."""

    def callback(ctx: click.Context, param: click.Parameter, value: Any) -> T:
        try:
            return parse(value)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from None

    return callback


def _ttl(text: str | None) -> timedelta | None:
    """Return how long a token lives, zero: for ever; None: nothing was said."""
    from kubeforge.spec.durations import parse_duration

    return None if text is None else parse_duration(text)


def _usages(text: str) -> tuple[str, ...]:
    given = tuple(filter(None, text.split(",")))
    wrong = [use for use in given if use not in _USAGES]
    if wrong or not given:
        raise ValueError(f"a token is good for {' and '.join(_USAGES)}, not for `{','.join(wrong) or text}`")
    return given


def _groups(text: str | None) -> tuple[str, ...] | None:
    from kubeforge.pki.tokens import is_bootstrap_group

    if text is None:
        return None
    given = tuple(filter(None, text.split(",")))
    wrong = [group for group in given if not is_bootstrap_group(group)]
    if wrong:
        raise ValueError(f"groups are called system:bootstrappers:…, [a-z0-9:-], not `{','.join(wrong)}`")
    return given


def _ids(values: tuple[str, ...]) -> tuple[str, ...]:
    from kubeforge.pki.tokens import token_id

    found = []
    for place, value in enumerate(values, 1):
        try:
            found.append(token_id(value))
        except ValueError as error:
            raise ValueError(f"word {place}: {error}") from None
    return tuple(dict.fromkeys(found))


ttl: Final = partial(click.option, "--ttl", metavar="DURATION", callback=_parsed(_ttl))
description: Final = click.option("--description", default="", help="Of the token, for people.")
usages: Final = click.option(
    "--usages", default=",".join(_USAGES), show_default=True, callback=_parsed(_usages), help="What it is good for.",
)  # fmt: skip
groups: Final = click.option(
    "--groups", callback=_parsed(_groups),
    help=f"Groups of whoever shows it, beside system:bootstrappers.  [default: {_NODE_GROUP}]",
)  # fmt: skip
from_file: Final = click.option(
    "--from-file", type=click.File("rb"), help="Take the token from there (-: stdin), not a random one.",
)  # fmt: skip
ids: Final = click.argument("ids", nargs=-1, required=True, metavar="ID...", callback=_parsed(_ids))


def given_token(file: BinaryIO | None) -> BootstrapToken:
    """Return the token that was given, or a new one."""
    from kubeforge.pki.tokens import new_token, parse_token
    from kubeforge.secret import Secret

    if file is None:
        return new_token()
    try:
        return parse_token(Secret(file.read(256).strip()))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--from-file") from None


def bearers(groups: tuple[str, ...] | None, *, authenticates: bool) -> tuple[str, ...]:
    """Return the groups a token puts its bearer into: none by a token that does not authenticate (kubeadm's rule)."""
    if groups is None:
        return (_NODE_GROUP,) if authenticates else ()
    if groups and not authenticates:
        raise click.BadParameter("they need the usage authentication", param_hint="--groups")
    return groups
