"""`kubeforge etcd snapshot …`. No logic here: see kubeforge.tasks.snapshot and kubeforge.tasks.restore."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only these verbs need
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubeforge.cli import options
from kubeforge.cli.asking import asking, read_options
from kubeforge.cli.lifecycle import carry_out, run_options
from kubeforge.cli.runs import Choices

if TYPE_CHECKING:
    from kubeforge.cli.passwords import Asked

__all__ = ["snapshot"]


@click.group()
def snapshot() -> None:
    """Snapshots: save, list, look at one, restore."""


@snapshot.command()
@run_options
@click.option(
    "--from",
    "source",
    metavar="HOST",
    help="The member to take; one that does not run is copied.  [default: one that serves]",
)
@click.option("--to", type=click.Path(path_type=Path, file_okay=False), metavar="DIR", help="Keep a copy here, too.")
@click.option("--reason", default="by hand", show_default=True, metavar="WORDS", help="Why; kept beside it.")
def save(choices: Choices, *, source: str | None, to: Path | None, reason: str) -> None:
    """Take a snapshot, verify it, keep it on all hosts of etcd with the PKI that belongs to it.

    A copy made with --to holds the cluster's private keys: whoever has it is the cluster's administrator.
    """
    from kubeforge.cli.runs import opened
    from kubeforge.tasks.snapshot import REASON, SNAPSHOT_FROM
    from kubeforge.tasks.snapshot_fetch import SNAPSHOT_TO

    if choices.limit or choices.tags:
        raise click.UsageError("the member to take is named with --from: no --limit, no --tags")
    given = {SNAPSHOT_FROM: source, SNAPSHOT_TO: to and str(to.absolute()), REASON: reason}
    known = {name: value for name, value in given.items() if value}
    with opened(replace(choices, variables={**choices.variables, **known}), "etcd-snapshot-save", parts=False) as run:
        carry_out(run, run.plan(diff=False), diff=False, agreed=lambda: True)


@snapshot.command("list")
@read_options
def list_(inventory_path: Path | None, variables: Mapping[str, str], asked: Asked, output: str) -> None:
    """List the snapshots that the hosts of etcd keep."""
    from kubeforge.cli.answers import answer
    from kubeforge.cluster.snapshots import kept_on
    from kubeforge.report.etcd import snapshots_text

    with asking(inventory_path, variables, asked) as (inventory, remote_of):
        kept = kept_on([host.name for host in inventory.etcd_members], remote_of)
    if output == "table":
        click.echo(snapshots_text(kept), nl=False)
    else:
        answer({"snapshots": [{**one.as_json(), "kept_on": list(kept.holders(one.name))} for one in kept.all],
                "silent": dict(kept.silent)}, output)  # fmt: skip


@snapshot.command()
@click.argument("name", metavar="NAME|DIR")
@read_options
@click.pass_context
def status(
    ctx: click.Context,
    *,
    name: str,
    inventory_path: Path | None,
    variables: Mapping[str, str],
    asked: Asked,
    output: str,
) -> None:
    """Show what a snapshot is, and read all its copies to see whether they are whole.

    NAME as `list` shows it, or `latest`; DIR is a copy on this machine, with a `/` in it. Leaves with 1 where a copy
    is damaged.
    """
    from kubeforge.cli.answers import answer
    from kubeforge.cluster.snapshot_copies import look_at
    from kubeforge.report.etcd import one_snapshot_text

    with asking(inventory_path, variables, asked) as (inventory, remote_of):
        found, copies = look_at(name, [host.name for host in inventory.etcd_members], remote_of)
    if output == "table":
        click.echo(one_snapshot_text(found, copies), nl=False)
    else:
        answer({**found.as_json(), "copies": dict(copies)}, output)
    ctx.exit(0 if all(copies.values()) else 1)


@snapshot.command()
@click.argument("name", metavar="NAME|DIR")
@run_options
@options.yes
def restore(choices: Choices, *, name: str, yes: bool) -> None:
    """Go back to a snapshot, on the hosts it was taken on. What was written since is lost; the plan says how much.

    NAME as `list` shows it, or `latest`; DIR is a copy on this machine, with a `/` in it. API servers and etcd stop
    meanwhile, pods go on, and old data are kept aside. A restore that was cut off is gone on with by the same command.
    """
    from kubeforge.cli.runs import opened, refuse_without_terminal
    from kubeforge.tasks.restoration import SNAPSHOT

    if choices.limit or choices.tags:
        raise click.UsageError("a restore is of the whole etcd, step by step: no --limit, no --tags")
    if not yes:
        refuse_without_terminal("etcd snapshot restore")
    given = str(Path(name).absolute()) if "/" in name else name
    with opened(
        replace(choices, variables={**choices.variables, SNAPSHOT: given}), "etcd-snapshot-restore", parts=False
    ) as run:
        made = run.plan(diff=False)
        carry_out(run, made, diff=False, agreed=lambda: yes or click.confirm("Go back to it?", err=True))
