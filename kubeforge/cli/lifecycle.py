"""Verbs that run a playbook: `plan`, `apply`, `reset`."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only these verbs need
from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, Final

import click

from kubeforge.cli import options
from kubeforge.cli.continuing import begun_anew, continuing_options

if TYPE_CHECKING:
    from kubeforge.cli.runs import Choices, Run
    from kubeforge.engine.plan import Plan

__all__ = ["anew_options", "apply", "attempt", "carry_out", "confirmed", "plan", "reset", "run_options"]

_CHANGES: Final = 2  # plan --detailed-exitcode: there are changes (as terraform and diff say it)
_DECLINED: Final = 1


def run_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of every run, and hand them over as one value."""
    return _run_options(function, continuing_options)


def anew_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of runs that go on with no recorded one: all they do leaves a trace, so all begin anew."""
    return _run_options(function, begun_anew)


def _run_options(
    function: Callable[..., None], continuing: Callable[[Callable[..., None]], Callable[..., None]]
) -> Callable[..., None]:
    @options.inventory
    @options.limit
    @options.tags
    @options.variables
    @options.forks
    @options.bulk
    @options.executor
    @continuing
    @options.verbose
    @options.passwords()
    @options.output("table", "json", "yaml")
    @wraps(function)
    def command(**given: Any) -> None:
        from kubeforge.cli.runs import Choices

        names = Choices.__dataclass_fields__
        choices = Choices(**{name: given.pop(name) for name in names})
        function(choices, **given)

    return command


@click.command()
@run_options
@options.diff
@click.option("--detailed-exitcode", is_flag=True, help="Leave with 2 where there are changes, 0 where there are none.")
def plan(choices: Choices, *, diff: bool, detailed_exitcode: bool) -> None:
    """Show what apply would do; changes nothing."""
    from kubeforge.cli.runs import opened

    with opened(choices, "apply", parts=True) as run:
        made = run.plan(diff=diff)
        run.show_plan(made, diff=diff)
    code = _CHANGES if made and detailed_exitcode else 0
    click.get_current_context().exit(made.exit_code or code)


@click.command()
@run_options
@options.diff
@options.yes
def apply(choices: Choices, *, diff: bool, yes: bool) -> None:
    """Make the hosts what the spec says.

    The plan is shown first, and exactly that is done. A run that was cut off is gone on with by running it again.
    """
    from kubeforge.cli.runs import opened, refuse_without_terminal

    if not yes:
        refuse_without_terminal("apply")
    with opened(choices, "apply", parts=True) as run:
        made = run.plan(diff=diff)
        carry_out(run, made, diff=diff, agreed=confirmed(yes=yes))


@click.command()
@run_options
@options.diff
@options.yes
def reset(choices: Choices, *, diff: bool, yes: bool) -> None:
    """Take the cluster off its hosts.

    Everything kubeforge and Kubernetes put there goes: etcd's data, containers, mounts, links, rules, files. What was
    there before stays or is put back; the plan names it. Logs and packages stay.
    """
    from kubeforge.cli.runs import opened, refuse_without_terminal

    if not yes:
        refuse_without_terminal("reset")
    with opened(choices, "reset", parts=False) as run:
        made = run.plan(diff=diff)
        assert run.spec is not None, "a reset is of a cluster"
        name = run.spec.name
        carry_out(run, made, diff=diff, agreed=lambda: yes or _is_named(name))


def carry_out(run: Run, made: Plan, *, diff: bool, agreed: Callable[[], bool]) -> None:
    """Show a plan, ask, do it, and leave with the run's exit code."""
    click.get_current_context().exit(attempt(run, made, diff=diff, agreed=agreed))


def attempt(run: Run, made: Plan, *, diff: bool, agreed: Callable[[], bool]) -> int:
    """Show a plan, ask, do it, and return the run's exit code."""
    blocked = run.blocked(made)
    if not (blocked and run.prose):  # what will not be done would only hide why it will not
        run.show_plan(made, diff=diff)
    if blocked:
        click.echo(f"Nothing was done: {_hosts(made)} could not be planned. Run again when it is put right.", err=True)
    elif made.failures:
        click.echo(f"Without {_hosts(made)}: what is due there waits until this runs again.", err=True)
    if blocked or not made:
        run.record(made)
        return made.exit_code
    if not agreed():
        click.echo("Nothing was done.", err=True)
        return _DECLINED
    result = run.apply(made)
    run.show_result(result)
    return result.exit_code


def confirmed(*, yes: bool) -> Callable[[], bool]:
    """Return what asks whether a plan is to be done; `yes`: a person has said so on the command line."""
    return lambda: yes or click.confirm("Do this?", err=True)


def _hosts(made: Plan) -> str:
    """Name the hosts that could not be planned."""
    return ", ".join(dict.fromkeys(failure.host for failure in made.failures if failure.host))


def _is_named(name: str) -> bool:
    said = click.prompt(f"This deletes cluster {name} and all its data. Type its name to go on", err=True)
    return bool(said == name)
