"""Several runs over one inventory, one after the other; passwords are asked for once. Decides nothing."""

# ruff: noqa: PLC0415 - --help and completion must not wait for what only runs need
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from kubeforge.cli.boundary import show_warnings
from kubeforge.cli.runs import Run, aside, display_for, loaded, session_of, show_libraries, showing
from kubeforge.cli.session import examine_input

if TYPE_CHECKING:
    from kubeforge.cli.runs import Choices
    from kubeforge.cli.session import Input
    from kubeforge.engine.remotes import Remotes
    from kubeforge.inventory.model import Inventory
    from kubeforge.report.console import LiveConsole
    from kubeforge.report.plain import PlainConsole
    from kubeforge.transport.connect import Connections

__all__ = ["Entered", "entered"]


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
        found = self.found if kubernetes is None else self.as_of(kubernetes)
        _, spec = found.required()
        choices = replace(self.choices, variables={**(variables or {}), **self.choices.variables})
        artifacts = showing(self._display, spec, found.path) if parts else None
        with session_of(
            choices,
            loaded(playbook),
            self.inventory,
            self._connections,
            spec=spec,
            display=self._display,
            artifacts=artifacts,
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
    show_libraries(choices.verbose)
    display = display_for(verbose=choices.verbose > 0)
    with entering(inventory, choices.asked, lambda: aside(display)) as (known, connections):
        yield Entered(choices, found, known, connections, display)
