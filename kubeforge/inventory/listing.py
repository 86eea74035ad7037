"""An inventory as Ansible's own tools show it: `ansible-inventory --list`, `--yaml` and `--graph`. Pure.

Variables are shown as they were written, templates and all, as there. What is secret is masked: password variables, and
everything that ansible-vault has encrypted, opened or not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

from kubeforge.errors import InputError, Problem
from kubeforge.inventory.draft import ALL, Written
from kubeforge.inventory.model import Host, Inventory
from kubeforge.inventory.rendering import SECRET_NAMES, HostVars
from kubeforge.inventory.vault import Sealed
from kubeforge.secret import MASK, Secret

__all__ = ["as_graph", "as_list", "as_tree", "rendered_variables", "written_variables"]

_STEM: Final = "  |"


def as_list(inventory: Inventory, chosen: Collection[str] | None = None) -> dict[str, Any]:
    """Return what `ansible-inventory --list` answers, and every dynamic inventory.

    Args:
        inventory: loaded.
        chosen: only these hosts; None: all.
    """
    groups = {name: part for name in _walk(inventory) if (part := _listed(inventory, name, chosen))}
    names = [name for name in inventory.groups[ALL] if chosen is None or name in chosen]
    told = {name: found for name in names if (found := written_variables(inventory.hosts[name]))}
    return {"_meta": {"hostvars": told}, **groups}


def as_tree(inventory: Inventory, chosen: Collection[str] | None = None) -> dict[str, Any]:
    """Return the inventory as a YAML inventory's content; every host's variables stand where it is named first."""
    return {ALL: _branch(inventory, ALL, chosen, set(), set())}


def as_graph(inventory: Inventory, chosen: Collection[str] | None = None) -> str:
    """Return the tree of groups and hosts, a line each, as `ansible-inventory --graph` draws it."""
    return "\n".join(_drawn(inventory, ALL, chosen, 0))


def written_variables(host: Host) -> dict[str, Any]:
    """Return a host's variables as they were written, secrets masked."""
    variables = host.vars
    if not isinstance(variables, HostVars):
        return {name: _masked(value) for name, value in variables.items()}
    return {name: _shown(name, variables.place(name)) for name in variables}


def rendered_variables(host: Host) -> dict[str, Any]:
    """Return a host's variables rendered, secrets masked.

    Raises:
        InputError: some cannot be rendered or opened; all of them, with file and line.
    """
    found: dict[str, Any] = {}
    problems: list[Problem] = []
    for name in host.vars:
        try:
            found[name] = _masked(host.vars[name])
        except InputError as error:
            problems += error.problems
    if problems:
        raise InputError(
            list(dict.fromkeys(problems)), remedy=f"as they were written: kubeforge inventory host {host.name} --raw"
        )
    return found


def _walk(inventory: Inventory) -> Iterator[str]:
    """Yield every group once, parents before what is below them."""
    seen: set[str] = set()
    ahead = [ALL]
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            yield name
            ahead += reversed(inventory.children[name])


def _listed(inventory: Inventory, name: str, chosen: Collection[str] | None) -> dict[str, list[str]]:
    hosts = [] if name == ALL else _hosts(inventory, name, chosen)
    parts = {"hosts": hosts, "children": list(inventory.children[name])}
    return {key: part for key, part in parts.items() if part}


def _hosts(inventory: Inventory, name: str, chosen: Collection[str] | None) -> list[str]:
    return [host for host in inventory.listed[name] if chosen is None or host in chosen]


def _branch(
    inventory: Inventory, name: str, chosen: Collection[str] | None, groups: set[str], hosts: set[str]
) -> dict[str, Any]:
    children: dict[str, Any] = {}
    for child in inventory.children[name]:
        children[child] = {} if child in groups else _branch(inventory, child, chosen, groups, hosts)
        groups.add(child)
    own: dict[str, Any] = {}
    for host in [] if name == ALL else _hosts(inventory, name, chosen):
        own[host] = {} if host in hosts else written_variables(inventory.hosts[host])
        hosts.add(host)
    return {key: part for key, part in {"children": children, "hosts": own}.items() if part}


def _drawn(inventory: Inventory, name: str, chosen: Collection[str] | None, depth: int) -> Iterator[str]:
    yield f"{_STEM * depth}--@{name}:" if depth else f"@{name}:"
    for child in inventory.children[name]:
        yield from _drawn(inventory, child, chosen, depth + 1)
    for host in [] if name == ALL else _hosts(inventory, name, chosen):
        yield f"{_STEM * (depth + 1)}--{host}"


def _shown(name: str, written: Written) -> Any:
    if written.value is None:
        return None
    if name in SECRET_NAMES and not _is_template(written.value):
        return MASK
    return _all_masked(written.value) if written.secret else _masked(written.value)


def _is_template(value: Any) -> bool:
    """Return whether a value only says where it comes from: what comes out of it is masked there."""
    return isinstance(value, str) and value.strip().startswith("{{")


def _masked(value: Any) -> Any:
    """Return a copy as plain data in which every secret is its mask."""
    if isinstance(value, Secret | Sealed):
        return MASK
    if isinstance(value, Mapping):
        return {str(key): _masked(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(part) for part in value]
    return value if value is None or isinstance(value, int | float) else str(value)


def _all_masked(value: Any) -> Any:
    """Return a copy of something secret: its shape, and nothing of its texts and numbers."""
    if isinstance(value, Mapping):
        return {str(key): _all_masked(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_all_masked(part) for part in value]
    return value if value is None or isinstance(value, bool) else MASK
