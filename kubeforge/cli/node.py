"""`kubeforge node …`: hosts come into the cluster and go. No logic here: see kubeforge.cluster.membership."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only these verbs need
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from dataclasses import replace as changed
from functools import wraps
from typing import TYPE_CHECKING, Any

import click

from kubeforge.cli import options
from kubeforge.cli.lifecycle import attempt, confirmed, run_options
from kubeforge.cli.maintenance import drain_options
from kubeforge.cli.node_exec import run_command
from kubeforge.cli.runs import Choices

if TYPE_CHECKING:
    from kubeforge.cluster.membership import Step

__all__ = ["node"]

_dead = click.option(
    "--dead", is_flag=True, help="It will never answer again: it is not contacted, and what is left is made whole."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asks:
    """What is shown and asked before anything is done."""

    diff: bool
    check: bool
    yes: bool


def _changes(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of verbs that change who is in the cluster."""

    @run_options
    @options.diff
    @options.check
    @options.yes
    @wraps(function)
    def command(choices: Choices, *, diff: bool, check: bool, yes: bool, **given: Any) -> None:
        if choices.limit:
            raise click.UsageError("the hosts named are those that this is about: no --limit")
        function(choices, asks=_Asks(diff=diff, check=check, yes=yes), **given)

    return command


@click.group()
def node() -> None:
    """Hosts come and go: add, remove, replace them; the dead, too."""


node.add_command(run_command)


@node.command()
@click.argument("hosts", nargs=-1, metavar="[HOST…]")
@_changes
def add(choices: Choices, *, hosts: tuple[str, ...], asks: _Asks) -> None:
    """Take hosts in that are new in the inventory: workers, control planes, members of etcd, balancers.

    Write their lines into hosts.yml first. Without names: all that the cluster has not yet (balancers must be named).
    Of the other hosts, only what has to know of them is touched.
    """
    from kubeforge.cluster.membership import Step, adding

    step = Step(playbook="node-add", change=adding(hosts), brings_parts=True)
    _walk(choices, (step,), "node add", asks)


@node.command()
@click.argument("hosts", nargs=-1, required=True, metavar="HOST…")
@_changes
@drain_options
@_dead
def remove(choices: Choices, *, hosts: tuple[str, ...], dead: bool, draining: Mapping[str, str], asks: _Asks) -> None:
    """Let hosts go: their pods move, etcd and the cluster forget them, and they become what they were before.

    Refused where etcd would lose its quorum. Take their lines out of hosts.yml afterwards.
    """
    from kubeforge.cluster.membership import Step, removing

    step = Step(playbook="node-remove", change=removing(hosts, dead=dead))
    _walk(_with(choices, draining), (step,), "node remove", asks)
    _remind(hosts, asks)


@node.command()
@click.argument("old")
@click.argument("new", required=False)
@_changes
@drain_options
@_dead
def replace(
    choices: Choices, *, old: str, new: str | None, dead: bool, draining: Mapping[str, str], asks: _Asks
) -> None:
    """Put a host in another's place: NEW, or one of the same name.

    NEW comes first, and then OLD goes. Where OLD is dead, or its name is to be used again, it goes first.
    """
    from kubeforge.cluster.membership import replacing

    _walk(_with(choices, draining), replacing(old, new or old, dead=dead), "node replace", asks)
    if new not in (None, old):
        _remind((old,), asks)


def _with(choices: Choices, variables: Mapping[str, str]) -> Choices:
    return changed(choices, variables={**choices.variables, **variables})


def _walk(choices: Choices, steps: tuple[Step, ...], verb: str, asks: _Asks) -> None:
    """Make each run, and stop at the first that does not end well; of several, the first alone can be shown before."""
    from kubeforge.cli.runs import opened, refuse_without_terminal

    if not (asks.yes or asks.check):
        refuse_without_terminal(verb)
    for step in steps:
        with opened(_tagged(choices, step), step.playbook, parts=step.brings_parts, change=step.change) as run:
            made = run.plan(diff=asks.diff)
            if asks.check:
                run.show_plan(made, diff=asks.diff)
                click.get_current_context().exit(made.exit_code)
            code = attempt(run, made, diff=asks.diff, agreed=confirmed(yes=asks.yes))
        if code:
            click.get_current_context().exit(code)


def _remind(gone: tuple[str, ...], asks: _Asks) -> None:
    """Name what only a person can do: hosts.yml is theirs."""
    if not asks.check:
        click.echo(f"Take {', '.join(gone)} out of hosts.yml, or the next apply takes it in again.", err=True)


def _tagged(choices: Choices, step: Step) -> Choices:
    """Keep tags where they mean something: programs are put onto hosts that come, not onto those that go."""
    return choices if step.brings_parts else changed(choices, tags=())
