"""`kubeforge etcd …`: what etcd is like, and what a person decides about it. No logic here: see kubeforge.tasks."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only these verbs need
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubeforge.cli import options
from kubeforge.cli.asking import asking, read_options
from kubeforge.cli.etcd_snapshot import snapshot
from kubeforge.cli.lifecycle import carry_out, confirmed, run_options
from kubeforge.cli.runs import Choices

if TYPE_CHECKING:
    from kubeforge.cli.passwords import Asked

__all__ = ["etcd"]


@click.group()
def etcd() -> None:
    """The cluster's store: members, snapshots, room, recovery."""


etcd.add_command(snapshot)


@etcd.command()
@read_options
def members(inventory_path: Path | None, variables: Mapping[str, str], asked: Asked, output: str) -> None:
    """Show who is a member, and who should be."""
    from kubeforge.cli.answers import answer
    from kubeforge.cluster.status.etcd import look_at_etcd
    from kubeforge.report.etcd import members_text

    with asking(inventory_path, variables, asked) as (inventory, remote_of):
        seen = look_at_etcd(inventory.etcd_members, remote_of)
    if output == "table":
        click.echo(members_text(seen), nl=False)
    else:
        answer(asdict(seen)["members"], output)


@etcd.command()
@read_options
@click.pass_context
def status(
    ctx: click.Context, inventory_path: Path | None, variables: Mapping[str, str], asked: Asked, output: str
) -> None:
    """Show what each member says of itself: revision, size, room used, alarms.

    Leaves with 0 where all members serve and no alarm is raised, else with 1.
    """
    from kubeforge.cli.answers import answer
    from kubeforge.cluster.status.etcd import look_at_etcd
    from kubeforge.report.etcd import etcd_text

    with asking(inventory_path, variables, asked) as (inventory, remote_of):
        seen = look_at_etcd(inventory.etcd_members, remote_of)
    if output == "table":
        click.echo(etcd_text(seen), nl=False)
    else:
        answer(asdict(seen), output)
    ctx.exit(0 if seen.well else 1)


@etcd.command()
@run_options
@options.yes
def defrag(choices: Choices, *, yes: bool) -> None:
    """Give room that the databases hold without need back to the disk: one member at a time, the leader last."""
    from kubeforge.cli.runs import opened, refuse_without_terminal

    if choices.limit:
        raise click.UsageError("members are taken in an order that all of them decide: no --limit")
    if not yes:
        refuse_without_terminal("etcd defrag")
    with opened(choices, "etcd-defrag", parts=False) as run:
        made = run.plan(diff=False)
        carry_out(run, made, diff=False, agreed=confirmed(yes=yes))


@etcd.command()
@run_options
@click.option("--from", "source", required=True, metavar="HOST", help="The member whose data are taken.")
@options.yes
def recover(choices: Choices, *, source: str, yes: bool) -> None:
    """Go on from one member's data, where more than half of the members are gone for good.

    What only the others had is given up; old data are kept aside. Then `kubeforge apply` brings the others back.
    """
    from kubeforge.cli.runs import opened, refuse_without_terminal
    from kubeforge.tasks.etcd_recovery import RECOVER_FROM

    if choices.limit or choices.tags:
        raise click.UsageError("--from names the one host that this is about: no --limit, no --tags")
    if not yes:
        refuse_without_terminal("etcd recover")
    # The dead are not asked: the run is about this host, and looks at the others as far as they answer.
    alone = replace(choices, limit=source, variables={**choices.variables, RECOVER_FROM: source})
    with opened(alone, "etcd-recover", parts=True) as run:
        made = run.plan(diff=False)
        carry_out(run, made, diff=False, agreed=confirmed(yes=yes))
