"""`group_vars/` and `host_vars/` beside an inventory or playbook: files, or folders of them, named for group or host.

Which files count is Ansible's rule (its guide, "Organizing host and group variables"): of `web`, `web.yml`, `web.yaml`
and `web.json` the first that is there, and no other; of a folder all files below it, sorted, the later ones winning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kubeforge.errors import Problem
from kubeforge.inventory.draft import Draft, Variables
from kubeforge.inventory.texts import read_text
from kubeforge.inventory.vault import Vault
from kubeforge.inventory.yaml_nodes import YamlFile

__all__ = ["GROUPS", "HOSTS", "FileVars", "any_beside", "read"]

GROUPS: Final = "group_vars"
HOSTS: Final = "host_vars"
_SUFFIXES: Final = ("", ".yml", ".yaml", ".json")


@dataclass(frozen=True, slots=True)
class FileVars:
    """What one folder's `group_vars/` and `host_vars/` say, by group and by host."""

    groups: Mapping[str, Variables] = field(default_factory=dict)
    hosts: Mapping[str, Variables] = field(default_factory=dict)


def any_beside(folder: Path) -> bool:
    """Return whether a folder has either of the two."""
    return any((folder / name).is_dir() for name in (GROUPS, HOSTS))


def read(folder: Path, draft: Draft, vault: Vault) -> FileVars:
    """Read the variables files of every group and host of `draft`; files for others are passed over, as in Ansible.

    Args:
        folder: where the inventory file or the playbook lies.
        draft: what is wrong is added to its problems.
        vault: opens what is encrypted.
    """
    groups = _Folder(folder / GROUPS, draft.problems, vault).of(draft.groups)
    return FileVars(groups=groups, hosts=_Folder(folder / HOSTS, draft.problems, vault).of(draft.hosts))


class _Folder:
    def __init__(self, path: Path, problems: list[Problem], vault: Vault) -> None:
        self._entries = {entry.name: entry for entry in path.iterdir()} if path.is_dir() else {}
        self._problems = problems
        self._vault = vault

    def of(self, names: Iterable[str]) -> dict[str, Variables]:
        """Return the variables of those groups or hosts that have any."""
        if not self._entries:
            return {}
        return {name: found for name in list(names) if (found := self._variables(name))}

    def _variables(self, name: str) -> Variables:
        there = [self._entries[name + suffix] for suffix in _SUFFIXES if name + suffix in self._entries]
        found: Variables = {}
        for path in _files(there[0]) if there else ():
            file = YamlFile(read_text(path, self._vault, self._problems), self._problems, self._vault)
            found.update(file.variables(file.root, name))
        for path in there[1:]:
            message = f"is not read, because {there[0].name} is there; Ansible reads the first of them alone"
            self._problems.append(Problem(message=message, file=str(path), warning=True))
        return found


def _files(path: Path) -> Iterator[Path]:
    """Yield a file, or all files of a folder, sorted; not hidden ones, editors' copies, nor other kinds of file."""
    if not path.is_dir():
        yield path
        return
    for entry in sorted(path.iterdir()):
        if entry.name.startswith(".") or entry.name.endswith("~"):
            continue
        if entry.is_dir() and not entry.suffix:
            yield from _files(entry)
        elif entry.is_file() and entry.suffix in _SUFFIXES:
            yield entry
