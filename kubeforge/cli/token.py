"""`kubeforge token …`: bootstrap tokens, and how a host joins with kubeadm. No logic here: see kubeforge.cluster."""

# ruff: noqa: PLC0415 - completion and --help of everything else must not wait for what only these verbs need
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from kubeforge.cli import options

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubeforge.cluster.api import Api
    from kubeforge.pki.tokens import BootstrapToken
    from kubeforge.transport.base import Remote

__all__ = ["token"]

_USAGES: Final = ("authentication", "signing")
_NODE_GROUP: Final = "system:bootstrappers:kubeadm:default-node-token"
_ttl = partial(click.option, "--ttl", metavar="DURATION", callback=lambda _ctx, _param, value: _lifetime(value))


@click.group()
def token() -> None:
    """Bootstrap tokens, and the command by which a host joins with kubeadm."""


@token.command()
@options.inventory
@options.variables
@_ttl(default="24h", show_default=True, help="How long it is valid: 90m, 1h30m; 0: for ever.")
@click.option("--description", default="", help="For people.")
@click.option(
    "--usages", default=",".join(_USAGES), show_default=True, callback=lambda _c, _p, value: _uses(value),
    help="What it is good for.",
)  # fmt: skip
@click.option(
    "--groups", default=_NODE_GROUP, show_default=True, callback=lambda _c, _p, value: _groups(value),
    help="Groups of whoever shows it, beside system:bootstrappers.",
)  # fmt: skip
@click.option("--from-file", type=click.File("rb"), help="Take the token from there (-: stdin), not a random one.")
@options.output("text", "json", "yaml")
def create(  # noqa: PLR0917 - click passes them by name
    inventory_path: Path | None,
    variables: Mapping[str, str],
    ttl: timedelta,
    description: str,
    usages: tuple[str, ...],
    groups: tuple[str, ...],
    from_file: BinaryIO | None,
    output: str,
) -> None:
    """Create a token and print it."""
    from kubeforge.cluster import tokens
    from kubeforge.pki.tokens import TokenUse, token_secret

    made = _given(from_file)
    now = datetime.now(tz=UTC)
    uses = tuple(map(TokenUse, usages))
    secret = token_secret(made, now=now, lifetime=ttl or None, description=description, groups=groups, uses=uses)
    with _api(inventory_path, variables) as (api, _):
        tokens.create(api, secret)
        if output == "text":
            click.echo(made.text.reveal().decode())
            return
        (known,) = [one for one in tokens.known_tokens(api, now) if one.id == made.id]
    _answer(known.as_json(now, reveal=True), output)


@token.command("list")
@options.inventory
@options.variables
@click.option("--reveal", is_flag=True, help="Show whole tokens; who reads one can join hosts to the cluster.")
@options.output("table", "json", "yaml")
def list_(inventory_path: Path | None, variables: Mapping[str, str], output: str, *, reveal: bool) -> None:
    """List the tokens there are."""
    from kubeforge.cluster.tokens import known_tokens
    from kubeforge.report.tokens import as_text

    now = datetime.now(tz=UTC)
    with _api(inventory_path, variables) as (api, _):
        known = known_tokens(api, now)
    if output == "table":
        click.echo(as_text(known, now, reveal=reveal), nl=False)
    else:
        _answer([one.as_json(now, reveal=reveal) for one in known], output)


@token.command()
@options.inventory
@options.variables
@click.argument("ids", nargs=-1, required=True, metavar="ID...", callback=lambda _c, _p, value: _ids(value))
def delete(inventory_path: Path | None, variables: Mapping[str, str], ids: tuple[str, ...]) -> None:
    """Delete tokens, named by their first six characters.

    Hosts that have joined stay; what a control plane's token has uploaded goes with it.
    """
    from kubeforge.cluster.tokens import remove
    from kubeforge.errors import ApiError

    with _api(inventory_path, variables) as (api, _):
        missing = remove(api, ids)
    for one in ids:
        if one not in missing:
            click.echo(f"token {one} deleted", err=True)
    if missing:
        raise ApiError(f"there is no token {', '.join(missing)}", step="token delete", remedy="kubeforge token list")


@token.command("join-command")
@options.inventory
@options.variables
@click.option("--control-plane", is_flag=True, help="As a control plane; the shared certificates are uploaded for 2 h.")
@_ttl(help="How long the token is valid.  [default: 24h; 2h with --control-plane]")
@click.option("--description", default="", help="Of the token, for people.")
@options.output("text", "json", "yaml")
def join_command(
    inventory_path: Path | None,
    variables: Mapping[str, str],
    ttl: timedelta | None,
    description: str,
    output: str,
    *,
    control_plane: bool,
) -> None:
    """Print the command by which a host joins with kubeadm.

    The command holds a token and the pinned hash of the cluster's authority. With --control-plane, it also holds the
    key to the certificates that control planes share: whoever reads it within two hours owns the cluster. Each call
    uploads them anew, so the key of an earlier call opens nothing any more.
    """
    from kubeforge.cluster.evidence import component_log
    from kubeforge.cluster.joining import invite, upload_certificates
    from kubeforge.manifests.control_plane import CONTROLLER_MANAGER
    from kubeforge.pki.tokens import TOKEN_LIFETIME
    from kubeforge.pki.upload import CERTS_LIFETIME

    now = datetime.now(tz=UTC)
    usual = CERTS_LIFETIME if control_plane else TOKEN_LIFETIME
    with _api(inventory_path, variables) as (api, planes):
        key = upload_certificates(api, planes, now=now) if control_plane else None
        made = invite(
            api,
            now=now,
            lifetime=(usual if ttl is None else ttl) or None,
            description=description,
            certificate_key=key,
            evidence=lambda: component_log(planes[0](), CONTROLLER_MANAGER),
        )
    if output == "text":
        click.echo(made.command.reveal().decode())
    else:
        _answer(made.as_json(), output)


@contextmanager
def _api(given: Path | None, variables: Mapping[str, str]) -> Iterator[tuple[Api, list[Callable[[], Remote]]]]:
    """Give the cluster's API and its control planes while the block runs."""
    from kubeforge.cli.session import examine_input
    from kubeforge.cluster.access import connect
    from kubeforge.engine.remotes import ConnectedRemotes

    inventory, _ = examine_input(given, variables).required()
    with closing(ConnectedRemotes(inventory)) as remotes:
        planes = [partial(remotes.remote, host.name) for host in inventory.control_planes]
        with closing(connect(planes)) as api:
            yield api, list(planes)


def _answer(data: object, form: str) -> None:
    from kubeforge.cli.answers import answer

    answer(data, form)


def _given(file: BinaryIO | None) -> BootstrapToken:
    """Return the token that was given, or a new one."""
    from kubeforge.pki.tokens import new_token, parse_token
    from kubeforge.secret import Secret

    if file is None:
        return new_token()
    try:
        return parse_token(Secret(file.read(256).strip()))
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--from-file") from None


def _lifetime(text: str | None) -> timedelta | None:
    """Return how long a token lives, zero: for ever; None: nothing was said."""
    from kubeforge.spec.durations import parse_duration

    try:
        return None if text is None else parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


def _uses(text: str) -> tuple[str, ...]:
    given = tuple(filter(None, text.split(",")))
    wrong = [use for use in given if use not in _USAGES]
    if wrong or not given:
        raise click.BadParameter(f"a token is good for {' and '.join(_USAGES)}, not for `{','.join(wrong) or text}`")
    return given


def _groups(text: str) -> tuple[str, ...]:
    from kubeforge.pki.tokens import is_bootstrap_group

    given = tuple(filter(None, text.split(",")))
    wrong = [group for group in given if not is_bootstrap_group(group)]
    if wrong:
        raise click.BadParameter(f"groups are called system:bootstrappers:…, [a-z0-9:-], not `{','.join(wrong)}`")
    return given


def _ids(values: tuple[str, ...]) -> tuple[str, ...]:
    from kubeforge.pki.tokens import token_id

    found = []
    for place, value in enumerate(values, 1):
        try:
            found.append(token_id(value))
        except ValueError as error:
            raise click.BadParameter(f"word {place}: {error}") from None
    return tuple(dict.fromkeys(found))
