"""Opens a playbook of the user's own: tasks beside it, inventory, and cluster.yml where there is one."""

# ruff: noqa: PLC0415 - a verb imports only what it uses
from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kubeforge.cli.runs import Choices, Run, aside, display_for, session_of, show_libraries
from kubeforge.cli.session import inventory_of
from kubeforge.errors import InputError, Problem

if TYPE_CHECKING:
    from kubeforge.cli.session import Given
    from kubeforge.engine.model import Task
    from kubeforge.engine.playbook import Playbook, TaskCall
    from kubeforge.inventory.model import Inventory
    from kubeforge.transport.connect import Connections

__all__ = ["checked", "opened_book", "opened_call"]


def checked(files: Sequence[Path], given: Given = None) -> Iterator[tuple[Path, Playbook]]:
    """Yield the playbooks in which nothing is wrong, each with its file.

    Args:
        files: the playbooks.
        given: the inventory for which they must be right, too; None: for any.

    Raises:
        InputError: the others, or Python files beside them, have problems; all of them, in the end. Likewise the
            inventory; and plays that are for nobody there.
    """
    from kubeforge.engine.entering import refuse_nobody
    from kubeforge.engine.local_files import refuse_missing
    from kubeforge.engine.playbook_loader import load
    from kubeforge.tasks.beside import registry_for

    problems: list[Problem] = []
    for file in files:
        try:
            registry = registry_for(file)
            found = load(file, registry)
            refuse_missing(found, registry)
            if given is not None:
                refuse_nobody(inventory_of(given, {}, playbook_folder=file.parent, facts_come=True), found)
        except InputError as error:
            problems += error.problems
        else:
            yield file, found
    if problems:
        raise InputError(list(dict.fromkeys(problems)))  # a tasks.py may lie beside several


@contextmanager
def opened_book(choices: Choices, file: Path) -> Iterator[Run]:
    """Open a run of a playbook: everything is read and checked; no host is asked yet.

    Args:
        choices: the options.
        file: the playbook.

    Raises:
        InputError: playbook, tasks or inventory have problems, or a play is for nobody; all at once.
    """
    from kubeforge.engine.playbook_loader import load
    from kubeforge.tasks.beside import registry_for

    registry = registry_for(file)
    with _opened(choices, load(file, registry), registry, folder=file.parent) as run:
        yield run


@contextmanager
def opened_call(choices: Choices, title: str, pattern: str, call: TaskCall) -> Iterator[Run]:
    """Open a run of one task, without a playbook.

    Args:
        choices: the options.
        title: of the play.
        pattern: its hosts.
        call: the task with its arguments.

    Raises:
        InputError: the inventory has problems, or the pattern means nobody.
    """
    from kubeforge import tasks
    from kubeforge.engine.playbook import Play, Playbook
    from kubeforge.inventory.patterns import select

    book = Playbook(name=call.name, plays=(Play(name=title, hosts=pattern, tasks=(call,)),))
    with _opened(choices, book, tasks.on_demand(), folder=None) as run:
        select(run.session.inventory, pattern)
        yield run


@contextmanager
def _opened(choices: Choices, book: Playbook, registry: Mapping[str, Task], *, folder: Path | None) -> Iterator[Run]:
    from kubeforge.cli.facts_first import with_facts
    from kubeforge.cli.passwords import entering
    from kubeforge.engine.entering import entered, refuse_nobody
    from kubeforge.engine.journal import filed_under
    from kubeforge.engine.local_files import refuse_missing

    def read(facts: Mapping[str, Mapping[str, Any]] | None = None) -> Inventory:
        come = facts is None
        return inventory_of(
            choices.inventory_path, choices.variables, playbook_folder=folder, facts=facts, facts_come=come
        )

    inventory = read()
    wanted = book.tagged(choices.tags)
    refuse_missing(wanted, registry)
    refuse_nobody(inventory, wanted, choices.limit)
    show_libraries(choices.verbose)
    going_on = choices.continuing.of(filed_under(inventory), book.name, book.place)
    display = display_for(verbose=choices.verbose > 0)
    first = inventory if inventory.wants_facts else entered(inventory, wanted, choices.variables)
    with entering(first, choices.asked, lambda: aside(display)) as (told, connections):
        known = told
        if told.wants_facts:
            grown = with_facts(told, read, connections, pattern=choices.limit, forks=choices.forks)
            known = entered(grown, wanted, choices.variables)
            _leave_others(connections, told, known)
        with session_of(
            choices, (book, registry), known, connections, spec=None, display=display, artifacts=None, going_on=going_on
        ) as session:
            yield Run(session, None, display, choices.output, known.warnings)


def _leave_others(connections: Connections, asked: Inventory, known: Inventory) -> None:
    """Close the connections to hosts that were asked for their facts in another way than they are entered by."""
    for name, host in known.hosts.items():
        if name in asked.hosts and host.connection != asked.hosts[name].connection:
            connections.drop(name)
