"""Verbs that look after nodes that live: `cordon`, `drain`, `uncordon`, `patch`, `restart`.

No logic here: see playbooks/ and kubeforge.tasks.drain, .patch, .maintenance.
"""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only these verbs need
from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

from kubeforge.cli import options
from kubeforge.cli.lifecycle import carry_out, confirmed, run_options
from kubeforge.spec.durations import parse_seconds

if TYPE_CHECKING:
    from kubeforge.cli.runs import Choices

__all__ = [
    "cordon",
    "drain",
    "drain_options",
    "patch",
    "restart",
    "rolled",
    "serial_option",
    "span",
    "uncordon",
]

_SIZE: Final = re.compile(r"[1-9]\d*|([1-9]\d?|100)%")


def _sizes(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...]:
    sizes = tuple(word.strip() for word in (value or "").split(",") if word.strip())
    wrong = [size for size in sizes if not _SIZE.fullmatch(size)]
    if wrong:
        raise click.BadParameter(f"`{wrong[0]}` is no number of hosts, like 2, and no share of them, like 25%")
    return sizes


def span(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    """Take an option's value that is a span of time.

    Raises:
        click.BadParameter: it is none.
    """
    try:
        parse_seconds(0 if value is None else value)
    except ValueError:
        raise click.BadParameter(f"`{value}` is no span of time: write seconds, or 90s, 5m, 1h30m") from None
    return value


serial_option = click.option(
    "--serial", callback=_sizes, metavar="N|N%,…", help="Hosts at a time; several: one after the other.  [default: 1]"
)


def drain_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a drain, and hand them over as variables for tasks: `draining`."""

    @click.option("--grace", callback=span, metavar="TIME", help="For each pod to end.  [default: what the pod says]")
    @click.option(
        "--deadline",
        "--drain-deadline",
        "deadline",
        callback=span,
        metavar="TIME",
        help="After which the drain of a node is given up.  [default: 10m]",
    )
    @click.option(
        "--delete-local-storage", is_flag=True, help="Evict pods with an emptyDir too; what is in it is lost."
    )
    @click.option("--force", is_flag=True, help="Evict pods that no controller brings up again too; they are lost.")
    @wraps(function)
    def command(
        choices: Choices,
        *,
        grace: str | None,
        deadline: str | None,
        delete_local_storage: bool,
        force: bool,
        **given: Any,
    ) -> None:
        from kubeforge.tasks.drain_options import DEADLINE, DELETE_LOCAL, FORCE, GRACE

        said = {
            GRACE: grace,
            DEADLINE: deadline,
            DELETE_LOCAL: "yes" if delete_local_storage else None,
            FORCE: "yes" if force else None,
        }
        function(choices, draining={name: value for name, value in said.items() if value is not None}, **given)

    return command


def rolled(
    choices: Choices,
    playbook: str,
    variables: Mapping[str, str],
    *,
    check: bool,
    yes: bool,
    serial: tuple[str, ...] = (),
) -> None:
    """Plan a playbook, show it, and unless it is only to be shown, ask and do it."""
    from kubeforge.cli.runs import opened, refuse_without_terminal

    if not (yes or check):
        refuse_without_terminal(click.get_current_context().command_path.partition(" ")[2])
    told = replace(choices, variables={**choices.variables, **variables})
    with opened(told, playbook, parts=False, serial=serial) as run:
        made = run.plan(diff=False)
        if check:
            run.show_plan(made, diff=False)
            click.get_current_context().exit(made.exit_code)
        carry_out(run, made, diff=False, agreed=confirmed(yes=yes))


def _named(choices: Choices, nodes: tuple[str, ...]) -> dict[str, str]:
    """Return the variable that names the nodes a verb is about."""
    from kubeforge.tasks.drain import NODES

    if choices.limit or choices.tags:
        raise click.UsageError("the nodes are named as arguments: no --limit, no --tags")
    return {NODES: ",".join(nodes)}


_nodes = click.argument("nodes", nargs=-1, required=True, metavar="NODE…")


@click.command()
@run_options
@_nodes
@options.check
def cordon(choices: Choices, *, nodes: tuple[str, ...], check: bool) -> None:
    """Let no new pods come to nodes; what runs there stays.

    NODE is a node's name or a group of the inventory. It stays cordoned until somebody uncordons it.
    """
    rolled(choices, "cordon", _named(choices, nodes), check=check, yes=True)


@click.command()
@run_options
@_nodes
@options.check
def uncordon(choices: Choices, *, nodes: tuple[str, ...], check: bool) -> None:
    """Let new pods come to nodes again.

    NODE is a node's name or a group of the inventory.
    """
    rolled(choices, "uncordon", _named(choices, nodes), check=check, yes=True)


@click.command()
@run_options
@_nodes
@drain_options
@click.option("--dead", is_flag=True, help="Their hosts never come back: pods are deleted at once.")
@options.check
@options.yes
def drain(
    choices: Choices, *, nodes: tuple[str, ...], draining: Mapping[str, str], dead: bool, check: bool, yes: bool
) -> None:
    """Let the pods of nodes go elsewhere, node after node.

    NODE is a node's name or a group of the inventory. Budgets (PodDisruptionBudget) are respected; pods of DaemonSets
    and static pods stay; pods that would be lost are refused. A drain that is given up leaves its node as it was.
    """
    from kubeforge.tasks.drain_options import DEAD

    variables = {**_named(choices, nodes), **draining, **({DEAD: "yes"} if dead else {})}
    rolled(choices, "drain", variables, check=check, yes=yes)


@click.command()
@run_options
@serial_option
@click.option(
    "--reboot",
    type=click.Choice(("auto", "always", "never")),
    default="auto",
    show_default=True,
    help="Reboot where packages or a new kernel ask for it, everywhere, or nowhere.",
)
@click.option("--reboot-deadline", callback=span, metavar="TIME", help="A host may be away so long.  [default: 10m]")
@click.option("--drain/--no-drain", "drains", default=True, show_default=True, help="Let pods leave a node before.")
@drain_options
@options.check
@options.yes
def patch(
    choices: Choices,
    *,
    serial: tuple[str, ...],
    reboot: str,
    reboot_deadline: str | None,
    drains: bool,
    draining: Mapping[str, str],
    check: bool,
    yes: bool,
) -> None:
    """Upgrade the packages and the kernel of the hosts, in batches, with reboots where they are needed.

    Control planes and etcd always go one by one. Kubernetes and the container runtime stay at their versions. A host
    must do its part again before the next one is touched; the first that does not ends the run.
    """
    from kubeforge.tasks.patch import AWAY, DRAIN, REBOOT

    away = {AWAY: reboot_deadline} if reboot_deadline is not None else {}
    variables = {REBOOT: reboot, DRAIN: "yes" if drains else "no", **away, **draining}
    rolled(choices, "patch", variables, check=check, yes=yes, serial=serial)


@click.command()
@run_options
@click.argument("unit", type=click.Choice(("kubelet", "containerd")))
@click.argument("pattern")
@serial_option
@options.check
@options.yes
def restart(choices: Choices, *, unit: str, pattern: str, serial: tuple[str, ...], check: bool, yes: bool) -> None:
    """Restart kubelets or container runtimes, host after host; containers go on.

    PATTERN selects hosts: names, groups, globs; `a:b`, `a:&b`, `a:!b`.
    """
    from kubeforge.tasks.maintenance import UNIT

    rolled(limited(choices, pattern), "restart", {UNIT: unit}, check=check, yes=yes, serial=serial)


def limited(choices: Choices, pattern: str) -> Choices:
    """Return the choices of a run on the hosts of a pattern that was given as an argument."""
    if choices.limit:
        raise click.UsageError("the hosts are named as an argument: no --limit")
    return replace(choices, limit=pattern)
