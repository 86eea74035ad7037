"""From an inventory's path to an `Inventory`: read, merged as Ansible merges, every problem at once.

Variable precedence is Ansible's (its docs, "Understanding variable precedence", 3 to 10): group variables in the
inventory, `all` first and children after their parents, then those of group_vars/ in the same order, then the host's
own, then host_vars/; extra variables win over all. Formats lie in `formats/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from kubeforge.errors import InputError, Problem
from kubeforge.inventory import vars_files
from kubeforge.inventory.connection_vars import read_connection
from kubeforge.inventory.draft import ALL, Draft, Variables, Written
from kubeforge.inventory.formats import yaml_file
from kubeforge.inventory.model import Host, Inventory
from kubeforge.inventory.rendering import HostVars
from kubeforge.inventory.tree import PRIORITY, Tree, grow

__all__ = ["load"]

_NAMES: Final = ("hosts.yml", "hosts.yaml")
_SUFFIXES: Final = (".yml", ".yaml", ".json")


def load(path: Path, *, extra_vars: Mapping[str, Any] | None = None) -> Inventory:
    """Load an inventory.

    Args:
        path: a YAML file, or a folder that holds `hosts.yml`; `group_vars/` and `host_vars/` lie beside it.
        extra_vars: win over every other variable, on every host.

    Returns:
        The inventory; what is doubtful in it is in its `warnings`.

    Raises:
        InputError: all problems, each with file, line and field; warnings among them.
    """
    file = _inventory_file(path)
    draft = Draft()
    draft.group(ALL)  # it exists, and has its group_vars, also where nobody wrote it
    yaml_file.read(file, draft)
    vars_files.read(file.parent, draft)
    if not draft.hosts and not draft.problems:
        draft.problems.append(Problem(message="there is no host in it", file=str(file), line=1))
    tree = grow(draft)
    inventory = _build(draft, tree, file, extra_vars or {})
    found = sorted(dict.fromkeys(draft.problems), key=lambda problem: (problem.file or "", problem.line or 0))
    if any(not problem.warning for problem in found):
        raise InputError(found)
    return replace(inventory, warnings=tuple(found))


def _inventory_file(path: Path) -> Path:
    """Return the file to read.

    Raises:
        InputError: there is none, or it has another format.
    """
    if path.is_dir():
        for name in _NAMES:
            if (path / name).is_file():
                return path / name
        found = ", ".join(sorted(entry.name for entry in path.iterdir())[:8]) or "nothing"
        raise InputError([Problem(message=f"there is no hosts.yml in this folder (it holds {found})", file=str(path))])
    if not path.exists():
        raise InputError(
            [Problem(message="there is no such inventory", file=str(path))],
            remedy="name a file or folder with -i; `kubeforge lab up` makes one to try with",
        )
    if path.suffix not in _SUFFIXES:
        raise InputError(
            [Problem(message="only YAML inventories are read (a name ending in .yml or .yaml)", file=str(path))],
            remedy=f"convert it: ansible-inventory -i {path} --list --yaml --output hosts.yml",
        )
    return path


def _build(draft: Draft, tree: Tree, file: Path, extra_vars: Mapping[str, Any]) -> Inventory:
    groups = tree.members
    extra = {name: Written(value) for name, value in extra_vars.items()}
    base = file.parent
    hosts = {}
    for host in draft.hosts.values():
        belongs = tree.of_host[host.name]
        magic = {
            "inventory_hostname": host.name,
            "inventory_hostname_short": host.name.split(".")[0],
            "inventory_dir": str(base.absolute()),
            "inventory_file": str(file.absolute()),
            "group_names": sorted(belongs),
            "groups": groups,
        }
        variables = HostVars(_merged(draft, tree, host.name) | extra, magic)
        hosts[host.name] = Host(
            name=host.name,
            connection=read_connection(host.name, variables, base, draft.problems),
            groups=frozenset(belongs),
            vars=variables,
            file=host.file,
            line=host.line,
        )
    return Inventory(hosts=hosts, groups=groups, source=file)


def _merged(draft: Draft, tree: Tree, name: str) -> Variables:
    merged: Variables = {}
    groups = [draft.groups[group] for group in (ALL, *tree.of_host[name]) if group in draft.groups]
    for group in groups:
        merged |= group.vars
    merged.pop(PRIORITY, None)  # about the group, not its hosts
    for group in groups:
        merged |= group.file_vars
    host = draft.hosts[name]
    return merged | host.vars | host.file_vars
