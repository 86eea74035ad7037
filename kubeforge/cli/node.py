"""`kubeforge node …`: hosts come into the cluster and go. No logic here: see kubeforge.cluster.membership."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only these verbs need
from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace as changed
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from kubeforge.cli import options
from kubeforge.cli.lifecycle import attempt, run_options
from kubeforge.cli.node_exec import run_command
from kubeforge.cli.runs import Choices

if TYPE_CHECKING:
    from kubeforge.cluster.membership import Step

__all__ = ["node"]

_dead = click.option(
    "--dead", is_flag=True, help="It will never answer again: it is not contacted, and what is left is made whole."
)
_diff = click.option("--diff", is_flag=True, help="Show what changes inside of files.")


_grace = click.option("--grace", metavar="SPAN", help="What each pod gets to end.  [default: what it says itself]")
_deadline = click.option("--drain-deadline", metavar="SPAN", help="After this a drain is given up: 90s, 10m.")
_delete_local = click.option("--delete-local-storage", is_flag=True, help="Evict pods with an emptyDir, too.")
_force = click.option("--force", is_flag=True, help="Evict pods that no controller brings up again, too.")


def _drains(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a drain; they are handed over as variables, which playbooks may set, too."""

    @_grace
    @_deadline
    @_delete_local
    @_force
    @wraps(function)
    def command(
        choices: Choices,
        *,
        grace: str | None,
        drain_deadline: str | None,
        delete_local_storage: bool,
        force: bool,
        **given: Any,
    ) -> None:
        from kubeforge.tasks.drain_options import DEADLINE, DELETE_LOCAL, FORCE, GRACE

        said = {GRACE: grace, DEADLINE: drain_deadline}
        said |= {DELETE_LOCAL: "yes" if delete_local_storage else None, FORCE: "yes" if force else None}
        variables = {name: value for name, value in said.items() if value is not None}
        function(changed(choices, variables={**choices.variables, **variables}), **given)

    return command


def _changes(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of verbs that change who is in the cluster."""

    @run_options
    @_diff
    @options.yes
    @wraps(function)
    def command(choices: Choices, **given: Any) -> None:
        if choices.limit:
            raise click.UsageError("the hosts named are those that this is about: no --limit")
        function(choices, **given)

    return command


@click.group()
def node() -> None:
    """Hosts come and go: add, remove, replace them; the dead, too."""


node.add_command(run_command)


@node.command()
@click.argument("hosts", nargs=-1, metavar="[HOST…]")
@_changes
def add(choices: Choices, *, hosts: tuple[str, ...], diff: bool, yes: bool) -> None:
    """Take hosts in that are new in the inventory: workers, control planes, members of etcd, balancers.

    Write their lines into hosts.yml first. Without names: all that the cluster has not yet (balancers must be named).
    Of the other hosts, only what has to know of them is touched.
    """
    from kubeforge.cluster.membership import Step, adding

    _walk(
        choices, (Step(playbook="node-add", change=adding(hosts), brings_parts=True),), "node add", diff=diff, yes=yes
    )


@node.command()
@click.argument("hosts", nargs=-1, required=True, metavar="HOST…")
@_changes
@_drains
@_dead
def remove(choices: Choices, *, hosts: tuple[str, ...], dead: bool, diff: bool, yes: bool) -> None:
    """Let hosts go: their pods move, etcd and the cluster forget them, and they become what they were before.

    Refused where etcd would lose its quorum. Take their lines out of hosts.yml afterwards.
    """
    from kubeforge.cluster.membership import Step, removing

    step = Step(playbook="node-remove", change=removing(hosts, dead=dead))
    _walk(choices, (step,), "node remove", diff=diff, yes=yes)


@node.command()
@click.argument("old")
@click.argument("new", required=False)
@_changes
@_drains
@_dead
def replace(choices: Choices, *, old: str, new: str | None, dead: bool, diff: bool, yes: bool) -> None:
    """Put a host in another's place: NEW, or one of the same name.

    NEW comes first, and then OLD goes. Where OLD is dead, or its name is to be used again, it goes first.
    """
    from kubeforge.cluster.membership import replacing

    _walk(choices, replacing(old, new or old, dead=dead), "node replace", diff=diff, yes=yes)


def _walk(choices: Choices, steps: tuple[Step, ...], verb: str, *, diff: bool, yes: bool) -> None:
    """Make each run, and stop at the first that does not end well."""
    from kubeforge.cli.runs import opened, refuse_without_terminal

    if not yes:
        refuse_without_terminal(verb)
    for step in steps:
        with opened(_tagged(choices, step), step.playbook, parts=step.brings_parts, change=step.change) as run:
            made = run.plan(diff=diff)
            code = attempt(run, made, diff=diff, agreed=lambda: yes or click.confirm("Do this?", err=True))
        if code:
            click.get_current_context().exit(code)


def _tagged(choices: Choices, step: Step) -> Choices:
    """Keep tags where they mean something: programs are put onto hosts that come, not onto those that go."""
    return choices if step.brings_parts else changed(choices, tags=())
