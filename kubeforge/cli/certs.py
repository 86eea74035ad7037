"""`kubeforge certs …`: what certificates there are, how long they last, new ones.

No logic here: see kubeforge.cluster.certificates and playbooks/certs-renew.yml.
"""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only these verbs need
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kubeforge.cli import options
from kubeforge.cli.asking import asking
from kubeforge.cli.lifecycle import carry_out, confirmed, run_options
from kubeforge.cli.runs import Choices

if TYPE_CHECKING:
    from kubeforge.cli.passwords import Asked
    from kubeforge.cluster.certificates import Listing

__all__ = ["certs"]

_hosts = click.option("--hosts", metavar="PATTERN", help="Only these hosts: names, groups, globs; `a:b`, `a:!b`.")


@click.group()
def certs() -> None:
    """The cluster's certificates: list, check, renew."""


def _looking(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of verbs that look at certificates, and hand over what was seen."""

    @options.inventory
    @options.variables
    @options.passwords()
    @_hosts
    @wraps(function)
    def command(
        *, inventory_path: Path | None, variables: Mapping[str, str], asked: Asked, hosts: str | None, **given: Any
    ) -> None:
        function(_seen(inventory_path, variables, asked, hosts), **given)

    return command


@certs.command("list")
@_looking
@options.output("table", "json", "yaml")
@click.option("-w", "--wide", is_flag=True, help="With subjects.")
def list_(seen: Listing, *, output: str, wide: bool) -> None:
    """List every certificate on the hosts, also those inside of kubeconfigs; the first to end comes first."""
    from kubeforge.cli.answers import answer
    from kubeforge.errors import ConnectionFailed
    from kubeforge.report.certificates import as_text

    if output == "table":
        click.echo(as_text(seen, wide=wide), nl=False)
    else:
        answer(seen.to_data(), output)
    click.get_current_context().exit(ConnectionFailed.exit_code if seen.silent else 0)


@certs.command()
@_looking
@options.output("text", "json", "yaml")
@click.option(
    "--warn-days", type=click.IntRange(min=0), metavar="N",
    help="Warn of all that end within N days.  [default: 30 days or the last third; authorities 180]",
)  # fmt: skip
def check(seen: Listing, *, output: str, warn_days: int | None) -> None:
    """Say which certificates end soon or have ended, for a monitor.

    Leaves with 0 where all is well, 3 where one ends soon, 4 where one has ended (or cannot be read), 11 where a host
    could not be asked.
    """
    from kubeforge.cli.answers import answer
    from kubeforge.report.certificates import findings

    judged = seen if warn_days is None else seen.warned(timedelta(days=warn_days))
    if output == "text":
        click.echo(findings(judged), nl=False)
    else:
        answer(judged.to_data(), output)
    click.get_current_context().exit(judged.exit_code)


@certs.command()
@run_options
@click.argument("names", nargs=-1, metavar="[NAME]…")
@click.option("--all", "everything", is_flag=True, help="All that can be renewed, however long they last.")
@click.option("--hosts", metavar="PATTERN", help="The same as --limit.")
@options.yes
def renew(choices: Choices, *, names: tuple[str, ...], everything: bool, hosts: str | None, yes: bool) -> None:
    """Issue certificates anew, signed by the cluster's authorities; ended ones, too.

    Without a NAME those that end soon or have ended, or are not right any more. Names are kubeadm's: apiserver,
    etcd-peer, admin.conf, …, and kubelet-client, kubelet-server. Authorities stay.
    """
    from kubeforge.cli.runs import opened, refuse_without_terminal
    from kubeforge.tasks.renewal import RENEW, chosen

    if names and everything:
        raise click.UsageError("--all is everything: no NAME beside it")
    if hosts and choices.limit:
        raise click.UsageError("--hosts and --limit are the same: give one")
    wanted = chosen(names, everything=everything)
    if not yes:
        refuse_without_terminal("certs renew")
    run_of = replace(choices, limit=hosts or choices.limit, variables={**choices.variables, RENEW: wanted})
    with opened(run_of, "certs-renew", parts=False) as run:
        made = run.plan(diff=False)
        carry_out(run, made, diff=False, agreed=confirmed(yes=yes))


def _seen(path: Path | None, variables: Mapping[str, str], asked: Asked, pattern: str | None) -> Listing:
    """Ask the hosts that are chosen."""
    from kubeforge.cluster.certificates import listing
    from kubeforge.inventory.patterns import select

    with asking(path, variables, asked) as (inventory, remote_of):
        within = {host.name for host in select(inventory, pattern)} if pattern else set(inventory.hosts)
        chosen_hosts = [host for host in inventory.cluster if host.name in within]
        return listing(inventory, chosen_hosts, remote_of)
