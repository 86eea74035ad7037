"""A playbook's run as a verb sees it: session, console and parts put together, and the question before changes."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only runs need
from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from kubeforge.cli.boundary import console, show_warnings
from kubeforge.cli.session import examine_input, supplier
from kubeforge.errors import KubeforgeError

if TYPE_CHECKING:
    from kubeforge.artifacts.model import Resolved
    from kubeforge.cli.continuing import Continuing
    from kubeforge.cli.passwords import Asked
    from kubeforge.cli.session import Given
    from kubeforge.cluster.membership import MembershipChange
    from kubeforge.engine.model import Task
    from kubeforge.engine.plan import Plan
    from kubeforge.engine.playbook import Playbook, Portion
    from kubeforge.engine.remotes import Remotes
    from kubeforge.engine.result import RunResult
    from kubeforge.engine.resume import GoingOn
    from kubeforge.engine.run import Session, Supplier
    from kubeforge.errors import Problem
    from kubeforge.inventory.model import Inventory
    from kubeforge.report.console import LiveConsole
    from kubeforge.report.plain import PlainConsole
    from kubeforge.spec.model import ClusterSpec
    from kubeforge.transport.connect import Connections

__all__ = [
    "Choices",
    "Run",
    "aside",
    "display_for",
    "loaded",
    "opened",
    "refuse_without_terminal",
    "session_of",
    "show_libraries",
    "showing",
]

_TERMINAL: Final = ("FORCE_COLOR", "TTY_COMPATIBLE")
"""Variables by which rich takes what is none for a terminal."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the options of a run say; see `options`."""

    inventory_path: Given
    limit: str | None
    tags: tuple[str, ...]
    variables: Mapping[str, str]
    forks: int | None
    verbose: int
    asked: Asked
    output: str
    continuing: Continuing
    executor: str | None
    bulk: Portion | None


class Run:
    """One playbook over one inventory.

    Args:
        session: opened.
        spec: the cluster; None: the playbook is about none.
        display: shows progress on stderr while it is entered.
        form: of what is printed on stdout: `table`, `json` or `yaml`.
        warnings: about the input; programs find them in the plan.
    """

    def __init__(
        self,
        session: Session,
        spec: ClusterSpec | None,
        display: LiveConsole | PlainConsole,
        form: str,
        warnings: Sequence[Problem] = (),
    ) -> None:
        self.session = session
        self.spec = spec
        self._display = display
        self._form = form
        self._warnings = warnings

    @property
    def prose(self) -> bool:
        """Whether people read what is printed, not programs."""
        return self._form == "table"

    def plan(self, *, diff: bool) -> Plan:
        """Find out what would be done."""
        with self._display:
            return self.session.plan(diff=diff)

    def blocked(self, plan: Plan) -> bool:
        """Whether applying the plan would do nothing, as too many hosts could not be planned."""
        return self.session.blocked(plan)

    def show_plan(self, plan: Plan, *, diff: bool) -> None:
        """Print a plan."""
        from kubeforge.report.words import summary

        if self.prose and not plan and not sys.stdout.isatty():
            click.echo(summary(plan))  # without what draws on terminals, which takes longer to begin than the rest
            return
        from kubeforge.report import plan as report

        if self.prose:
            report.print_plan(plan, console(stderr=False), diff=diff, failures=False)  # the display has shown them
        else:
            form = report.as_json if self._form == "json" else report.as_yaml
            click.echo(form(plan, self._warnings))

    def record(self, plan: Plan) -> None:
        """Record a plan that is not carried out; where that cannot be, only say so: nothing was to be done anyway."""
        try:
            self.session.record(plan)
        except KubeforgeError as error:
            click.echo(f"warning: {error.cause}", err=True)

    def apply(self, plan: Plan) -> RunResult:
        """Carry a plan out."""
        with self._display:
            return self.session.apply(plan)

    def show_result(self, result: RunResult) -> None:
        """Print what a run came to."""
        from kubeforge.cli.answers import answer
        from kubeforge.report import result as report

        if self.prose:
            report.print_result(result, console(stderr=False), failures=False)  # the display has shown them
        else:
            answer(result.to_data(), self._form)


@contextmanager
def opened(
    choices: Choices, playbook: str, *, parts: bool, serial: Sequence[str] = (), change: MembershipChange | None = None
) -> Iterator[Run]:
    """Open a run: the input is read and checked, tasks and playbook are loaded; no host is asked yet.

    Args:
        choices: the options.
        playbook: name of a shipped one.
        parts: whether it needs artifacts; those that are remade by a change of membership always do.
        serial: sizes of batches, `2` or `25%`, for plays that leave them to the command line.
        change: makes the inventory of a run that changes who is in the cluster; asks hosts.
    """
    from kubeforge.cli.passwords import entering
    from kubeforge.inventory.membership import REMADE

    found = examine_input(choices.inventory_path, choices.variables)
    inventory, spec = found.required()
    if choices.output == "table":
        show_warnings(found.warnings)
    show_libraries(choices.verbose)
    going_on, book = choices.continuing.of(spec.name, playbook, ""), loaded(playbook, serial)
    display = display_for(verbose=choices.verbose > 0)
    with entering(inventory, choices.asked, lambda: aside(display)) as (entered, connections):
        known, spec = _changed(change, entered, connections, found.path) if change else (entered, spec)
        needs = parts or bool(known.group(REMADE))
        artifacts = showing(display, spec, found.path) if needs else None
        with session_of(
            choices, book, known, connections, spec=spec, display=display, artifacts=artifacts, going_on=going_on
        ) as session:
            yield Run(session, spec, display, choices.output, found.warnings)


def loaded(playbook: str, serial: Sequence[str] = ()) -> tuple[Playbook, Mapping[str, Task]]:
    """Return a shipped playbook, and the tasks that it names.

    Args:
        playbook: its name.
        serial: see `opened`.
    """
    from kubeforge import tasks
    from kubeforge.engine.playbook import Portion
    from kubeforge.engine.playbook_loader import load
    from kubeforge.resources import playbook as shipped

    registry = tasks.load()
    return load(shipped(playbook), registry).batched([Portion.of(size) for size in serial]), registry


def session_of(
    choices: Choices,
    book: tuple[Playbook, Mapping[str, Task]],
    inventory: Inventory,
    connections: Connections,
    *,
    spec: ClusterSpec | None,
    display: LiveConsole | PlainConsole,
    artifacts: Supplier | None,
    going_on: tuple[GoingOn | None, Collection[str] | None] = (None, None),
) -> Session:
    """Return a session of a playbook; no host is asked yet.

    Args:
        choices: the options.
        book: the playbook, and the tasks that it names.
        inventory: of the run.
        connections: how its hosts are entered.
        spec: of the run; None: the playbook is about no cluster.
        display: told everything.
        artifacts: what resolves parts; None: the playbook needs none.
        going_on: the recorded run it goes on with, and the hosts that alone take part; see `Continuing.of`.
    """
    from kubeforge.engine.executors import MAX_THREADS
    from kubeforge.engine.remotes import ConnectedRemotes
    from kubeforge.engine.run import Session

    return Session(
        inventory=inventory,
        remotes=_near(ConnectedRemotes(inventory, connections), inventory, choices.executor),
        playbook=book[0],
        registry=book[1],
        spec=spec,
        artifacts=artifacts,
        limit=choices.limit,
        tags=choices.tags,
        sinks=[display],
        variables=choices.variables,
        forks=choices.forks or MAX_THREADS,
        resume=going_on[0],
        within=going_on[1],
        bulk=choices.bulk,
    )


def _changed(
    change: MembershipChange, inventory: Inventory, connections: Connections, path: Path
) -> tuple[Inventory, ClusterSpec]:
    """Return the inventory of a run that changes who is in the cluster, and the spec as it is with that."""
    from kubeforge.engine.remotes import ConnectedRemotes
    from kubeforge.spec.loader import load

    changed = change(inventory, lambda known: ConnectedRemotes(known, connections).remote)
    return changed, load(path, changed)


def _near(own: Remotes, inventory: Inventory, address: str | None) -> Remotes:
    """Return the hosts as they are reached: from here, or from workers near them."""
    if address is None:
        return own
    from kubeforge.engine.dask.executor import DaskExecutor
    from kubeforge.engine.dask.remotes import NearRemotes

    return NearRemotes(inventory, own, DaskExecutor.of(address))


def refuse_without_terminal(verb: str) -> None:
    """Refuse to ask where nobody can answer.

    Raises:
        click.UsageError: standard input is no terminal.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"{verb} asks before it changes anything, and there is no terminal to ask on: give --yes"
        )


def display_for(*, verbose: bool) -> LiveConsole | PlainConsole:
    """Return what shows a run's progress: live on a terminal, a line for each event elsewhere."""
    if sys.stderr.isatty() or any(os.environ.get(name) for name in _TERMINAL):
        from kubeforge.report.console import LiveConsole

        screen = console(stderr=True)
        if screen.is_terminal:
            return LiveConsole(screen, verbose=verbose)
    from kubeforge.report.plain import PlainConsole

    return PlainConsole(sys.stderr, verbose=verbose)


def showing(display: LiveConsole | PlainConsole, spec: ClusterSpec, path: Path) -> Supplier:
    """Return what resolves the parts, and shows its own progress in place of the run's."""
    from kubeforge.artifacts.console import ConsoleProgress

    def supply(arches: Collection[str]) -> Resolved:
        with aside(display), ConsoleProgress() as progress:
            return supplier(spec, path, progress)(arches)

    return supply


@contextmanager
def aside(display: LiveConsole | PlainConsole) -> Iterator[None]:
    """Take the run's display off the terminal: two would write over each other."""
    display.__exit__(None, None, None)
    try:
        yield
    finally:
        display.__enter__()


def show_libraries(verbose: int) -> None:
    """Show what libraries log, from the second -v on."""
    if verbose > 1:
        import logging

        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
