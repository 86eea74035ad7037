"""Assembles what a verb needs out of its options: the input, the parts, a session. Decides nothing, prints nothing."""

# ruff: noqa: PLC0415 - a verb imports only what it uses
from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from kubeforge.errors import InputError, Problem

if TYPE_CHECKING:
    from kubeforge.artifacts.availability import Shelf
    from kubeforge.artifacts.model import Progress, Resolved, SourceChoice
    from kubeforge.engine.run import Supplier
    from kubeforge.inventory.model import Inventory
    from kubeforge.spec.model import ClusterSpec

__all__ = ["Given", "Input", "chosen_inventory", "examine_input", "filed", "inventory_of", "shelf", "supplier"]

Given = Path | tuple[Path, ...] | None
"""What `-i` says: nothing, a source, or several."""

_HOSTS: Final = ("hosts.yml", "hosts.yaml")
_LOCK: Final = "artifacts.lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What the user wrote.

    Args:
        path: the inventory, as chosen; of several, the one with a cluster.yml.
        inventory: None where it cannot be read.
        spec: None where there are errors.
        problems: of inventory and spec, warnings included.
    """

    path: Path
    inventory: Inventory | None
    spec: ClusterSpec | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems that refuse."""
        return tuple(problem for problem in self.problems if not problem.warning)

    @property
    def warnings(self) -> tuple[Problem, ...]:
        """The problems that are only shown."""
        return tuple(problem for problem in self.problems if problem.warning)

    def required(self) -> tuple[Inventory, ClusterSpec]:
        """Return inventory and spec.

        Raises:
            InputError: there are errors; all of them.
        """
        if self.inventory is None or self.spec is None:
            raise InputError(self.errors, remedy=f"correct this, then: kubeforge validate -i {self.path}")
        return self.inventory, self.spec


def chosen_inventory(given: Given) -> tuple[Path, ...]:
    """Return the sources to use: those given, else the folder one stands in or ./inventory, else the only lab.

    Raises:
        InputError: none is given and none of these is there.
    """
    from kubeforge.inventory.sources import CLUSTER_FILES

    if given is not None:
        return (given,) if isinstance(given, Path) else given
    for folder in (Path(), Path("inventory")):
        file = next((folder / name for name in _HOSTS if (folder / name).is_file()), None)
        if file is not None:  # nobody said that all that lies beside it were inventories
            return (folder if any((folder / name).is_file() for name in CLUSTER_FILES) else file,)
    from kubeforge.lab import default_inventory

    lab = default_inventory()
    if lab is None:
        raise InputError(
            [Problem(message="no inventory: no hosts.yml here nor in ./inventory, and not exactly one lab is up")],
            remedy="name its folder with -i, or make hosts to try with: kubeforge lab up",
        )
    return (lab,)


def examine_input(given: Given, variables: Mapping[str, Any], *, kubernetes: str | None = None) -> Input:
    """Read inventory and cluster.yml; what is wrong with either is in the result.

    Args:
        given: the inventory; None: the default one.
        variables: win over all others.
        kubernetes: a version that takes the place of cluster.yml's.

    Raises:
        InputError: there is no inventory to read.
    """
    from kubeforge.cli.vault_options import opened_vault
    from kubeforge.inventory.loader import load
    from kubeforge.spec.loader import examine, locate

    paths = chosen_inventory(given)
    path = next((path for path in paths if locate(path).is_file()), paths[0])
    inventory: Inventory | None = None
    problems: tuple[Problem, ...] = ()
    try:
        inventory = load(paths, extra_vars=variables, vault=opened_vault())
        problems = inventory.warnings
    except InputError as error:
        if not path.exists():
            raise
        problems = error.problems
    examined = examine(path, inventory, kubernetes=kubernetes)
    return Input(path=path, inventory=inventory, spec=examined.spec, problems=(*problems, *examined.problems))


def filed(given: Given) -> str:
    """Return what an inventory's runs are filed under; the inventory itself is not read.

    Args:
        given: see `chosen_inventory`.

    Raises:
        InputError: it is not there.
    """
    from kubeforge.engine.journal import filed_by
    from kubeforge.spec.naming import cluster_name

    paths = chosen_inventory(given)
    missing = [path for path in paths if not path.exists() and "," not in str(path)]
    if missing:
        raise InputError([Problem(message="there is no such inventory", file=str(path)) for path in missing])
    return next(filter(None, map(cluster_name, paths)), None) or filed_by(paths[0])


def inventory_of(
    given: Given,
    variables: Mapping[str, Any],
    *,
    playbook_folder: Path | None = None,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
    facts_come: bool = False,
) -> Inventory:
    """Return the inventory alone, for verbs that need no cluster.yml.

    Args:
        given: see `chosen_inventory`.
        variables: win over all others.
        playbook_folder: whose group_vars/ and host_vars/ count, too.
        facts: host -> variables that constructed groups see.
        facts_come: whether they are asked later; see `facts_first`.

    Raises:
        InputError: there is none, or it has problems.
    """
    from kubeforge.cli.vault_options import opened_vault
    from kubeforge.inventory.loader import load

    return load(
        chosen_inventory(given),
        extra_vars=variables,
        playbook_folder=playbook_folder,
        vault=opened_vault(),
        facts=facts,
        facts_come=facts_come,
    )


def supplier(spec: ClusterSpec, path: Path, progress: Progress) -> Supplier:
    """Return what resolves a cluster's parts once the architectures of its hosts are known.

    Args:
        spec: names the versions and the source.
        path: the inventory; digests fetched from upstream are kept in artifacts.lock beside its cluster.yml.
        progress: told of every step.
    """
    from kubeforge.artifacts.cache import Cache
    from kubeforge.artifacts.model import Versions
    from kubeforge.artifacts.resolve import resolve
    from kubeforge.spec.releases import release

    source = _source(spec, path)
    versions = Versions.of(release(spec.kubernetes), spec.kubernetes)

    def supply(arches: Collection[str]) -> Resolved:
        return resolve(versions, arches=arches, source=source, cache=Cache.default(), progress=progress)

    return supply


def shelf(spec: ClusterSpec, path: Path) -> Shelf:
    """Return what tells which versions a cluster's source of parts has, without fetching any.

    Args:
        spec: names the source.
        path: the inventory.
    """
    from kubeforge.artifacts.availability import Shelf
    from kubeforge.artifacts.cache import Cache

    return Shelf(_source(spec, path), Cache.default())


def _source(spec: ClusterSpec, path: Path) -> SourceChoice:
    from kubeforge.artifacts.model import SourceChoice, SourceKind
    from kubeforge.spec.loader import locate

    return SourceChoice(
        kind=SourceKind(spec.artifacts.source),
        mirror=spec.artifacts.mirror,
        sha256=spec.artifacts.sha256,
        lock=locate(path).parent / _LOCK,
    )
