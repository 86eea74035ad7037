"""`kubeforge upgrade apply` and `rollback`: runs of playbooks/upgrade*.yml. Their logic is in tasks."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only these verbs need
from __future__ import annotations

from typing import TYPE_CHECKING

import click

from kubeforge.cli import options
from kubeforge.cli.lifecycle import anew_options, attempt, confirmed

if TYPE_CHECKING:
    from kubeforge.cli.runs import Choices
    from kubeforge.cli.series import Entered

__all__ = ["apply", "rollback"]


@click.command()
@click.argument("version")
@anew_options
@click.option("--via", multiple=True, metavar="VERSION", help="The patch of a minor on the way; else its newest.")
@click.option("--drain/--no-drain", default=None, help="Whether pods leave a node first.  [default: at another minor]")
@options.diff
@options.yes
def apply(choices: Choices, *, version: str, via: tuple[str, ...], drain: bool | None, diff: bool, yes: bool) -> None:
    """Bring the cluster to another version, one minor at a time.

    Every step's plan is shown first, and exactly that is done. A run that was cut off is gone on with by the same
    command. With --limit only those hosts; cluster.yml gets the version once all hosts have it.
    """
    from kubeforge.cli.runs import refuse_without_terminal
    from kubeforge.cli.series import entered
    from kubeforge.spec.upgrade_path import wanted_version

    if not yes:
        refuse_without_terminal("upgrade apply")
    with entered(choices, kubernetes=wanted_version(version, ())) as inside:
        steps = _steps(inside, version, via)
        for number, step in enumerate(steps, 1):
            if len(steps) > 1:
                click.echo(f"Step {number} of {len(steps)}: {step}", err=True)
            code = _step(inside, step, target=steps[-1], drain=drain, diff=diff, yes=yes)
            if code:
                click.get_current_context().exit(code)
        _note(inside, steps[-1])


def _steps(inside: Entered, version: str, via: tuple[str, ...]) -> tuple[str, ...]:
    """Ask the control planes what they run; have each step's spec judged before the first one begins."""
    from kubeforge.spec.upgrade_path import steps_to
    from kubeforge.tasks.upgrade_look import versions_running

    with inside.remotes() as remotes:
        running = versions_running(inside.inventory, remotes.remote)
    steps = steps_to(running, version, via=via)
    for step in steps:
        inside.as_of(step).required()
    if inside.choices.tags and len(steps) > 1:
        click.echo(f"With --tags only the first of {len(steps)} steps: {steps[0]}", err=True)
        return steps[:1]
    return steps


def _step(inside: Entered, version: str, *, target: str, drain: bool | None, diff: bool, yes: bool) -> int:
    from kubeforge.tasks.upgrade import LIMIT
    from kubeforge.tasks.upgrade_nodes import DRAIN
    from kubeforge.tasks.upgrade_record import TARGET, WHOLE

    choices = inside.choices
    variables = {TARGET: target}
    variables |= {LIMIT: choices.limit} if choices.limit else {} if choices.tags else {WHOLE: "yes"}
    variables |= {} if drain is None else {DRAIN: "yes" if drain else "no"}
    with inside.run("upgrade", parts=True, kubernetes=version, variables=variables) as run:
        made = run.plan(diff=diff)
        return attempt(run, made, diff=diff, agreed=confirmed(yes=yes))


def _note(inside: Entered, version: str) -> None:
    """Have cluster.yml say what the cluster runs now, or say what is to be written there."""
    from kubeforge.spec.loader import locate
    from kubeforge.spec.rewriting import rewrite

    file, choices = locate(inside.found.path), inside.choices
    if choices.limit or choices.tags:
        click.echo(f"{file} stays as it is until all hosts run {version}.", err=True)
        return
    try:
        written = rewrite(file, version)
    except OSError as error:
        click.echo(f"warning: {file} cannot be written: {error.strerror}", err=True)
        written = False
    told = f"{file} says it now: kubernetes: {version}"
    click.echo(told if written else f"Write into {file}: kubernetes: {version}; until then apply refuses.", err=True)


@click.command()
@anew_options
@click.option(
    "--from-snapshot", is_flag=True, help="Bring etcd back to the snapshot before the upgrade, where it must."
)
@click.option("--drain/--no-drain", default=None, help="Whether pods leave a node first.  [default: at another minor]")
@options.diff
@options.yes
def rollback(choices: Choices, *, from_snapshot: bool, drain: bool | None, diff: bool, yes: bool) -> None:
    """Take the last upgrade back, half done or finished.

    Programs, manifests, configuration and images become what they were, byte for byte; the cluster serves on. Where
    Kubernetes or etcd cannot go back with the data as they are, it says so, and --from-snapshot gives up what was
    written since the upgrade began.
    """
    from kubeforge.cli.runs import refuse_without_terminal
    from kubeforge.cli.series import entered

    if choices.limit or choices.tags:
        raise click.UsageError("an upgrade is taken back on all hosts: no --limit, no --tags")
    if not yes:
        refuse_without_terminal("upgrade rollback")
    with entered(choices) as inside:
        old, variables = _before(inside, from_snapshot=from_snapshot, drain=drain)
        playbook = "upgrade-rollback-snapshot" if from_snapshot else "upgrade-rollback"
        with inside.run(playbook, parts=True, kubernetes=old, variables=variables) as run:
            made = run.plan(diff=diff)

            def agreed() -> bool:
                return yes or (
                    _is_named(inside.found.required()[1].name) if from_snapshot else click.confirm("Do this?", err=True)
                )

            code = attempt(run, made, diff=diff, agreed=agreed)
        if code:
            click.get_current_context().exit(code)
        _note(inside, old)


def _before(inside: Entered, *, from_snapshot: bool, drain: bool | None) -> tuple[str, dict[str, str]]:
    """Ask the hosts what the last upgrade began with, and which snapshot was taken before it."""
    from kubeforge.tasks.restoration import SNAPSHOT
    from kubeforge.tasks.rollback_check import WAY
    from kubeforge.tasks.upgrade_look import before_upgrade
    from kubeforge.tasks.upgrade_nodes import DRAIN

    with inside.remotes() as remotes:
        old, snapshot = before_upgrade(inside.inventory, remotes.remote)
    variables = {} if drain is None else {DRAIN: "yes" if drain else "no"}
    if from_snapshot:
        variables |= {WAY: "snapshot", SNAPSHOT: snapshot}
    return old, variables


def _is_named(name: str) -> bool:
    said = click.prompt(f"What was written since the upgrade began is lost. Type {name} to go on", err=True)
    return bool(said == name)
