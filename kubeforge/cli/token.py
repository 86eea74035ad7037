"""`kubeforge token …`: bootstrap tokens, and how a host joins with kubeadm. No logic here: see kubeforge.cluster."""

# ruff: noqa: PLC0415 - completion and --help of everything else must not wait for what only these verbs need
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, BinaryIO

import click

from kubeforge.cli import options, token_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from kubeforge.cli.session import Given
    from kubeforge.cluster.api import Api
    from kubeforge.transport.base import Remote

__all__ = ["token"]


@click.group()
def token() -> None:
    """Bootstrap tokens, and the command by which a host joins with kubeadm."""


@token.command()
@options.inventory
@options.variables
@token_options.ttl(default="24h", show_default=True, help="How long it is valid: 90m, 1h30m; 0: for ever.")
@token_options.description
@token_options.usages
@token_options.groups
@token_options.from_file
@options.output("text", "json", "yaml")
def create(  # noqa: PLR0917 - click passes them by name
    inventory_path: Given,
    variables: Mapping[str, str],
    ttl: timedelta,
    description: str,
    usages: tuple[str, ...],
    groups: tuple[str, ...] | None,
    from_file: BinaryIO | None,
    output: str,
) -> None:
    """Create a token and print it."""
    from kubeforge.cluster import tokens
    from kubeforge.pki.tokens import TokenUse, token_secret

    made = token_options.given_token(from_file)
    now = datetime.now(tz=UTC)
    uses = tuple(map(TokenUse, usages))
    bearers = token_options.bearers(groups, authenticates=TokenUse.AUTHENTICATION in uses)
    secret = token_secret(made, now=now, lifetime=ttl or None, description=description, groups=bearers, uses=uses)
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
def list_(inventory_path: Given, variables: Mapping[str, str], output: str, *, reveal: bool) -> None:
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
@token_options.ids
def delete(inventory_path: Given, variables: Mapping[str, str], ids: tuple[str, ...]) -> None:
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
@token_options.ttl(help="How long the token is valid.  [default: 24h; 2h with --control-plane]")
@token_options.description
@options.output("text", "json", "yaml")
def join_command(
    inventory_path: Given,
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
        upload = upload_certificates(api, planes, now=now) if control_plane else None
        made = invite(
            api,
            now=now,
            lifetime=(usual if ttl is None else ttl) or None,
            description=description,
            upload=upload,
            evidence=lambda: component_log(planes[0](), CONTROLLER_MANAGER),
        )
    if output == "text":
        click.echo(made.command.reveal().decode())
    else:
        _answer(made.as_json(), output)


@contextmanager
def _api(given: Given, variables: Mapping[str, str]) -> Iterator[tuple[Api, list[Callable[[], Remote]]]]:
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
