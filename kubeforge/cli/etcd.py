"""`kubeforge etcd …`: what a person decides about etcd's members. No logic here: see kubeforge.tasks.etcd_recovery."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only these verbs need
from __future__ import annotations

from dataclasses import replace

import click

from kubeforge.cli import options
from kubeforge.cli.lifecycle import carry_out, run_options
from kubeforge.cli.runs import Choices

__all__ = ["etcd"]


@click.group()
def etcd() -> None:
    """The cluster's store: recover it."""


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
        carry_out(run, made, diff=False, agreed=lambda: yes or click.confirm("Do this?", err=True))
