"""From what `-i` names to an `Inventory`: read, merged as Ansible merges, every problem at once.

Variable precedence is Ansible's (its docs, "Understanding variable precedence", 3 to 10): group variables in the
inventory, `all` first and children after their parents, then group_vars/all of the inventory, then of the playbook,
then the other groups' of the inventory, then of the playbook, then the host's own, then host_vars/ in the same order;
extra variables win over all. Of several sources the later one wins, and with it the whole of its group_vars/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kubeforge.errors import InputError, Problem
from kubeforge.inventory import vars_files
from kubeforge.inventory.connection_vars import read_connection
from kubeforge.inventory.draft import ALL, Draft, DraftHost, Variables, Written
from kubeforge.inventory.model import Host, Inventory
from kubeforge.inventory.rendering import HostVars
from kubeforge.inventory.sources import DEADLINE, Sources, folder_of
from kubeforge.inventory.tree import PRIORITY, Tree, grow
from kubeforge.inventory.vars_files import FileVars
from kubeforge.inventory.vault import Vault

__all__ = ["load"]


def load(
    given: Path | Sequence[Path],
    *,
    extra_vars: Mapping[str, Any] | None = None,
    playbook_folder: Path | None = None,
    vault: Vault | None = None,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
    facts_come: bool = False,
    deadline: float = DEADLINE,
) -> Inventory:
    """Load an inventory.

    Args:
        given: one source or several: files (YAML, INI), folders, programs, `a,b,`; `group_vars/` and `host_vars/` lie
            beside each.
        extra_vars: win over every other variable, on every host.
        playbook_folder: where the playbook lies, with `group_vars/` and `host_vars/` of its own.
        vault: opens what ansible-vault has encrypted; None: there is no password.
        facts: host -> variables that constructed groups see (`ansible_distribution`, …), over the host's own.
        facts_come: whether facts are asked once this is loaded, so that nothing is wrong yet with what lacks them.
        deadline: seconds that a program which answers for the inventory may take.

    Returns:
        The inventory; what is doubtful in it is in its `warnings`.

    Raises:
        InputError: all problems, each with file, line and field; warnings among them.
    """
    sources = [given] if isinstance(given, Path) else list(given)
    merge = _Merge(
        draft=Draft(facts_come=facts_come),
        vault=vault or Vault(),
        folders=[folder for source in sources if (folder := folder_of(source)) is not None],
        playbook_folder=playbook_folder,
        extra={name: Written(value) for name, value in (extra_vars or {}).items()},
        facts=facts or {},
    )
    _read(sources, merge, deadline)
    meaning: list[Problem] = []
    inventory = merge.inventory(sources[0], meaning)
    sealed = merge.vault.problems()  # what could not be opened would be missed everywhere: say that, and no more
    found = _sorted((*merge.draft.problems, *(sealed or meaning)))
    if any(not problem.warning for problem in found):
        raise InputError(found, remedy=_remedy(sources))
    return replace(inventory, warnings=tuple(found))


def _read(sources: Sequence[Path], merge: _Merge, deadline: float) -> None:
    draft = merge.draft
    reader = Sources(draft, merge.vault, merge.known, deadline)
    for source in sources:
        reader.read(source)
    for name in draft.groups.keys() & draft.hosts.keys():
        host = draft.hosts[name]
        message = f"{name} is both a group and a host; patterns take it for the host"
        draft.problems.append(Problem(message=message, file=host.file, line=host.line, warning=True))
    if not (draft.hosts or draft.problems or merge.vault.problems()):
        draft.problems.append(Problem(message="there is no host in it", file=str(sources[0]), line=1))


def _sorted(problems: Iterable[Problem]) -> list[Problem]:
    return sorted(dict.fromkeys(problems), key=lambda problem: (problem.file or "", problem.line or 0))


def _remedy(sources: Sequence[Path]) -> str | None:
    if all(source.exists() or "," in str(source) for source in sources):
        return None
    return "name files or folders with -i; `kubeforge lab up` makes hosts to try with"


@dataclass(slots=True, kw_only=True)
class _Merge:
    """The variables of hosts, merged.

    Args:
        draft: what is read.
        vault: opens variables files.
        folders: of the sources, in their order.
        playbook_folder: see `load`.
        extra: variables over all others.
        facts: see `load`.
    """

    draft: Draft
    vault: Vault
    folders: Sequence[Path]
    playbook_folder: Path | None
    extra: Variables
    facts: Mapping[str, Mapping[str, Any]]
    _of_groups: dict[tuple[str, ...], Variables] = field(default_factory=dict)

    def known(self, with_files: bool, with_extra: bool) -> Mapping[str, HostVars]:
        """Return what constructed groups see of each host, as far as sources are read."""
        tree = grow(self.draft, rooted=False)
        layers, play = self._layers() if with_files else ([], [])
        self._of_groups.clear()
        return {
            host.name: HostVars(
                self._merged(host, tree.of_host[host.name], layers, play)
                | {name: Written(value, literal=True) for name, value in self.facts.get(host.name, {}).items()}
                | (self.extra if with_extra else {}),
                _magic(host, tree.of_host[host.name]),
            )
            for host in self.draft.hosts.values()
        }

    def inventory(self, source: Path, problems: list[Problem]) -> Inventory:
        """Return everything that is read as an inventory; what is wrong with what it means is added to `problems`."""
        tree = grow(self.draft)
        layers, play = self._layers()
        self._of_groups.clear()
        variables: dict[str, HostVars] = {}
        for host in self.draft.hosts.values():
            groups = tree.of_host[host.name]
            magic = _magic(host, groups) | {"groups": tree.members, "hostvars": variables}
            merged = self._merged(host, (ALL, *groups), layers, play)
            variables[host.name] = HostVars(merged | self.extra, magic)
        hosts = {host.name: _host(host, tree, variables[host.name], problems) for host in self.draft.hosts.values()}
        return Inventory(
            hosts=hosts,
            groups=_filled(tree),
            source=source,
            children=tree.children,
            listed=tree.listed,
            wants_facts=tuple(name for name in hosts if name in self.draft.wants_facts),
            of_facts=tuple(self.draft.of_facts),
        )

    def _layers(self) -> tuple[list[FileVars], list[FileVars]]:
        """Return the variables files of the inventory's folders, and of the playbook's."""
        folders = dict.fromkeys(self.folders)
        inventory = [vars_files.read(folder, self.draft, self.vault) for folder in folders]
        folder = self.playbook_folder
        play = [vars_files.read(folder, self.draft, self.vault)] if folder and folder not in folders else []
        return inventory, play

    def _merged(
        self, host: DraftHost, groups: tuple[str, ...], layers: Sequence[FileVars], play: Sequence[FileVars]
    ) -> Variables:
        if groups not in self._of_groups:
            self._of_groups[groups] = self._of(groups, layers, play)
        merged = self._of_groups[groups] | host.vars
        for layer in (*layers, *play):
            merged |= layer.hosts.get(host.name, {})
        return merged

    def _of(self, groups: tuple[str, ...], layers: Sequence[FileVars], play: Sequence[FileVars]) -> Variables:
        """Return the merged variables of all hosts that are in just these groups."""
        merged: Variables = {}
        for group in groups:
            merged |= self.draft.groups[group].vars
        merged.pop(PRIORITY, None)  # about the group, not its hosts
        for of_all in (True, False):
            for layer in (*layers, *play):
                for group in groups:
                    if (group == ALL) is of_all:
                        merged |= layer.groups.get(group, {})
        return merged


def _host(host: DraftHost, tree: Tree, variables: HostVars, problems: list[Problem]) -> Host:
    return Host(
        name=host.name,
        connection=read_connection(host.name, variables, _folder(host), problems),
        groups=frozenset(tree.of_host[host.name]),
        vars=variables,
        file=host.file,
        line=host.line,
    )


def _magic(host: DraftHost, groups: Iterable[str]) -> dict[str, Any]:
    """Return what Ansible lets templates know of a host besides its variables."""
    magic = {
        "inventory_hostname": host.name,
        "inventory_hostname_short": host.name.split(".")[0],
        "group_names": sorted(name for name in groups if name != ALL),
    }
    if host.file is not None:
        magic |= {"inventory_dir": str(_folder(host).absolute()), "inventory_file": str(Path(host.file).absolute())}
    return magic


def _folder(host: DraftHost) -> Path:
    """Return where a host's relative paths start: the folder of the file it is written in."""
    return Path(host.file).parent if host.file else Path()


def _filled(tree: Tree) -> dict[str, tuple[str, ...]]:
    """Return the groups and their hosts; `ungrouped`, which every inventory has, only where somebody is in it."""
    return {name: hosts for name, hosts in tree.members.items() if hosts or tree.children[name] or name != "ungrouped"}
