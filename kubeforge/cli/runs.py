"""A playbook's run as a verb sees it: session, console and parts put together, and the question before changes."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only runs need
from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kubeforge.cli.boundary import console, show_warnings
from kubeforge.cli.session import examine_input, supplier

if TYPE_CHECKING:
    from kubeforge.artifacts.model import Resolved
    from kubeforge.cli.passwords import Asked
    from kubeforge.cli.session import Input
    from kubeforge.engine.plan import Plan
    from kubeforge.engine.remotes import Remotes
    from kubeforge.engine.result import RunResult
    from kubeforge.engine.run import Session, Supplier
    from kubeforge.errors import Problem
    from kubeforge.inventory.model import Inventory
    from kubeforge.report.console import LiveConsole, PlainConsole
    from kubeforge.spec.model import ClusterSpec
    from kubeforge.transport.connect import Connections

__all__ = ["Choices", "Entered", "Run", "entered", "opened", "refuse_without_terminal"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the options of a run say; see `options`."""

    inventory_path: Path | None
    limit: str | None
    tags: tuple[str, ...]
    variables: Mapping[str, str]
    forks: int | None
    verbose: int
    asked: Asked
    output: str


class Run:
    """One playbook over one inventory.

    Args:
        session: opened.
        spec: the cluster.
        display: shows progress on stderr while it is entered.
        form: of what is printed on stdout: `table`, `json` or `yaml`.
        warnings: about the input; programs find them in the plan.
    """

    def __init__(
        self,
        session: Session,
        spec: ClusterSpec,
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
        from kubeforge.report import plan as report

        if self.prose:
            report.print_plan(plan, console(stderr=False), diff=diff, failures=False)  # the display has shown them
        else:
            form = report.as_json if self._form == "json" else report.as_yaml
            click.echo(form(plan, self._warnings))

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


class Entered:
    """An inventory whose passwords are known: several runs over it, one after the other.

    Args:
        choices: the options.
        found: the input; it has no errors.
        inventory: with the passwords that were asked for.
        connections: how its hosts are entered.
        display: shows progress.
    """

    def __init__(
        self,
        choices: Choices,
        found: Input,
        inventory: Inventory,
        connections: Connections,
        display: LiveConsole | PlainConsole,
    ) -> None:
        self.choices = choices
        self.found = found
        self.inventory = inventory
        self._connections = connections
        self._display = display

    @contextmanager
    def remotes(self) -> Iterator[Remotes]:
        """Give the hosts themselves, for a question before any run."""
        from kubeforge.engine.remotes import ConnectedRemotes

        remotes = ConnectedRemotes(self.inventory, self._connections)
        try:
            yield remotes
        finally:
            remotes.close()

    def as_of(self, kubernetes: str) -> Input:
        """Return the input with another version of Kubernetes than cluster.yml's, judged by all rules."""
        return examine_input(self.choices.inventory_path, self.choices.variables, kubernetes=kubernetes)

    @contextmanager
    def run(
        self,
        playbook: str,
        *,
        parts: bool,
        kubernetes: str | None = None,
        variables: Mapping[str, str] | None = None,
    ) -> Iterator[Run]:
        """Open a run: tasks and playbook are loaded; no host is asked yet.

        Args:
            playbook: name of a shipped one.
            parts: whether it needs artifacts.
            kubernetes: version in the place of cluster.yml's.
            variables: beside those of the command line.
        """
        from kubeforge import tasks
        from kubeforge.engine.executors import MAX_THREADS
        from kubeforge.engine.remotes import ConnectedRemotes
        from kubeforge.engine.run import Session
        from kubeforge.resources import playbook as shipped

        found, choices = self.found if kubernetes is None else self.as_of(kubernetes), self.choices
        _, spec = found.required()
        with Session(
            inventory=self.inventory,
            remotes=ConnectedRemotes(self.inventory, self._connections),
            playbook=shipped(playbook),
            registry=tasks.load(),
            spec=spec,
            artifacts=_showing(self._display, spec, found.path) if parts else None,
            limit=choices.limit,
            tags=choices.tags,
            sinks=[self._display],
            variables={**(variables or {}), **choices.variables},
            forks=choices.forks or MAX_THREADS,
        ) as session:
            yield Run(session, spec, self._display, choices.output, found.warnings)


@contextmanager
def entered(choices: Choices, *, kubernetes: str | None = None) -> Iterator[Entered]:
    """Read and check the input, and ask for passwords where that was wished; no host is asked yet.

    Args:
        choices: the options.
        kubernetes: version in the place of cluster.yml's.
    """
    from kubeforge.cli.passwords import entering

    found = examine_input(choices.inventory_path, choices.variables, kubernetes=kubernetes)
    inventory, _ = found.required()
    if choices.output == "table":
        show_warnings(found.warnings)
    _log(choices.verbose)
    display = _display(verbose=choices.verbose > 0)
    with entering(inventory, choices.asked, lambda: _aside(display)) as (known, connections):
        yield Entered(choices, found, known, connections, display)


@contextmanager
def opened(choices: Choices, playbook: str, *, parts: bool) -> Iterator[Run]:
    """Open the only run of a verb: the input is read and checked, tasks and playbook are loaded; no host is asked yet.

    Args:
        choices: the options.
        playbook: name of a shipped one.
        parts: whether it needs artifacts.
    """
    with entered(choices) as inside, inside.run(playbook, parts=parts) as run:
        yield run


def refuse_without_terminal(verb: str) -> None:
    """Refuse to ask where nobody can answer.

    Raises:
        click.UsageError: standard input is no terminal.
    """
    if not sys.stdin.isatty():
        raise click.UsageError(
            f"{verb} asks before it changes anything, and there is no terminal to ask on: give --yes"
        )


def _display(*, verbose: bool) -> LiveConsole | PlainConsole:
    from kubeforge.report.console import LiveConsole, PlainConsole

    screen = console(stderr=True)
    return (LiveConsole if screen.is_terminal else PlainConsole)(screen, verbose=verbose)


def _showing(display: LiveConsole | PlainConsole, spec: ClusterSpec, path: Path) -> Supplier:
    """Return what resolves the parts, and shows its own progress in place of the run's."""
    from kubeforge.artifacts.console import ConsoleProgress

    def supply(arches: Collection[str]) -> Resolved:
        with _aside(display), ConsoleProgress() as progress:
            return supplier(spec, path, progress)(arches)

    return supply


@contextmanager
def _aside(display: LiveConsole | PlainConsole) -> Iterator[None]:
    """Take the run's display off the terminal: two would write over each other."""
    display.__exit__(None, None, None)
    try:
        yield
    finally:
        display.__enter__()


def _log(verbose: int) -> None:
    """Show what libraries log, from the second -v on."""
    if verbose > 1:
        import logging

        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s", stream=sys.stderr)
