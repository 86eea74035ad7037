"""kubeforge from a script: the same inventory, playbooks and runs, without the command line.

    from kubeforge import api

    site = api.load("inventory/ha")
    with site.open("apply") as run:
        plan = run.plan(diff=True)
        result = run.apply(plan)

The names in `__all__` are stable, and so are `kubeforge.testing` and the functions that docs/tasks/ names; all else may
change with any version. Nothing is printed; what goes wrong before a host is touched is raised, what goes wrong on
hosts is in the result. docs/api.md has examples that are tested.
"""

# ruff: noqa: PLC0415 - importing this takes milliseconds; a script pays for what it uses
from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kubeforge.api.site import Answer, Run, Site
    from kubeforge.cluster.status.model import ClusterStatus
    from kubeforge.engine.events import Event, Failure
    from kubeforge.engine.model import Action, ActionContext, Context, Facts
    from kubeforge.engine.plan import Plan
    from kubeforge.engine.result import RunResult
    from kubeforge.errors import InputError, KubeforgeError
    from kubeforge.inventory.model import Host, Inventory
    from kubeforge.operations.command import Command
    from kubeforge.operations.directory import Directory
    from kubeforge.operations.file import File
    from kubeforge.operations.model import Change, Operation, Queries, Verb
    from kubeforge.operations.package import Package
    from kubeforge.operations.symlink import Symlink
    from kubeforge.operations.unit import Unit
    from kubeforge.secret import Secret
    from kubeforge.spec.model import ClusterSpec
    from kubeforge.tasks.registry import task
    from kubeforge.transport.base import Completed
    from kubeforge.transport.memory import MemoryHost

__all__ = [
    "Action",
    "ActionContext",
    "Answer",
    "Change",
    "ClusterSpec",
    "ClusterStatus",
    "Command",
    "Completed",
    "Context",
    "Directory",
    "Event",
    "Facts",
    "Failure",
    "File",
    "Host",
    "InputError",
    "Inventory",
    "KubeforgeError",
    "MemoryHost",
    "Operation",
    "Package",
    "Plan",
    "Queries",
    "Run",
    "RunResult",
    "Secret",
    "Site",
    "Symlink",
    "Unit",
    "Verb",
    "load",
    "task",
]

_HOMES: Final = {
    "Action": "kubeforge.engine.model",
    "ActionContext": "kubeforge.engine.model",
    "Answer": "kubeforge.api.site",
    "Change": "kubeforge.operations.model",
    "ClusterSpec": "kubeforge.spec.model",
    "ClusterStatus": "kubeforge.cluster.status.model",
    "Command": "kubeforge.operations.command",
    "Completed": "kubeforge.transport.base",
    "Context": "kubeforge.engine.model",
    "Directory": "kubeforge.operations.directory",
    "Event": "kubeforge.engine.events",
    "Facts": "kubeforge.engine.model",
    "Failure": "kubeforge.engine.events",
    "File": "kubeforge.operations.file",
    "Host": "kubeforge.inventory.model",
    "InputError": "kubeforge.errors",
    "Inventory": "kubeforge.inventory.model",
    "KubeforgeError": "kubeforge.errors",
    "MemoryHost": "kubeforge.transport.memory",
    "Operation": "kubeforge.operations.model",
    "Package": "kubeforge.operations.package",
    "Plan": "kubeforge.engine.plan",
    "Queries": "kubeforge.operations.model",
    "Run": "kubeforge.api.site",
    "RunResult": "kubeforge.engine.result",
    "Secret": "kubeforge.secret",
    "Site": "kubeforge.api.site",
    "Symlink": "kubeforge.operations.symlink",
    "Unit": "kubeforge.operations.unit",
    "Verb": "kubeforge.operations.model",
    "task": "kubeforge.tasks.registry",
}


def __getattr__(name: str) -> Any:
    """Return a name that lives elsewhere; it is imported when first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)


def load(
    path: Path | str,
    *,
    variables: Mapping[str, Any] | None = None,
    tasks: Iterable[Callable[..., Any]] = (),
    memory: Iterable[MemoryHost] = (),
    facts: bool = False,
    vault: Iterable[Secret | Path] = (),
) -> Site:
    """Load an inventory, and the cluster.yml beside it where there is one.

    Args:
        path: as with `-i`.
        variables: over all others, as with `-e`.
        tasks: your own, marked with `@task`; they come over kubeforge's of the same name.
        memory: hosts in memory; where any are given no host is reached, and runs are neither recorded nor exclusive.
        facts: ask the hosts what they are, where the inventory has groups that facts make.
        vault: passwords of what ansible-vault has encrypted, or files that hold one, or programs that print one.

    Raises:
        InputError: all problems of the inventory, or of the vault's files. Those of cluster.yml are raised by whatever
            needs the cluster.
        ConnectionFailed: a host that was to be asked does not answer.
    """
    from kubeforge.api.reader import Reader
    from kubeforge.api.site import Site as Made
    from kubeforge.inventory.vault_passwords import given

    reader = Reader(path=Path(path), variables=dict(variables or {}), passwords=given(vault))
    site = Made(
        inventory=reader.read(facts_come=facts),
        path=Path(path),
        reader=reader,
        own_tasks=tuple(tasks),
        memory={host.host: host for host in memory},
    )
    return site.by_facts() if facts and site.inventory.wants_facts else site
