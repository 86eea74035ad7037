"""Opens a playbook of the user's own: tasks beside it, inventory, and cluster.yml where there is one."""

# ruff: noqa: PLC0415 - a verb imports only what it uses
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from kubeforge.cli.runs import Choices, Run, aside, display_for, show_libraries
from kubeforge.cli.session import inventory_of

if TYPE_CHECKING:
    from kubeforge.engine.playbook import Playbook

__all__ = ["checked", "opened_book"]


def checked(file: Path) -> Playbook:
    """Return a playbook in which nothing is wrong.

    Raises:
        InputError: it, or a Python file beside it, has problems; all of them.
    """
    from kubeforge.engine.playbook_loader import load
    from kubeforge.tasks.beside import registry_for

    return load(file, registry_for(file))


@contextmanager
def opened_book(choices: Choices, file: Path) -> Iterator[Run]:
    """Open a run of a playbook: everything is read and checked; no host is asked yet.

    Args:
        choices: the options.
        file: the playbook.

    Raises:
        InputError: playbook, tasks or inventory have problems.
    """
    from kubeforge.cli.passwords import entering
    from kubeforge.engine.entering import entered
    from kubeforge.engine.executors import MAX_THREADS
    from kubeforge.engine.playbook_loader import load
    from kubeforge.engine.remotes import ConnectedRemotes
    from kubeforge.engine.run import Session
    from kubeforge.tasks.beside import registry_for

    registry = registry_for(file)
    book = load(file, registry)
    inventory = entered(inventory_of(choices.inventory_path, choices.variables), book)
    show_libraries(choices.verbose)
    display = display_for(verbose=choices.verbose > 0)
    with (
        entering(inventory, choices.asked, lambda: aside(display)) as (known, connections),
        Session(
            inventory=known,
            remotes=ConnectedRemotes(known, connections),
            playbook=book,
            registry=registry,
            limit=choices.limit,
            tags=choices.tags,
            sinks=[display],
            variables=choices.variables,
            forks=choices.forks or MAX_THREADS,
        ) as session,
    ):
        yield Run(session, None, display, choices.output, inventory.warnings)
