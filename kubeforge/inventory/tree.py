"""Groups in groups: cycles, ancestors, and the order in which their variables win, as in Ansible."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from kubeforge.errors import Problem
from kubeforge.inventory.draft import ALL, UNGROUPED, Draft, Written

__all__ = ["PRIORITY", "Tree", "grow"]

PRIORITY: Final = "ansible_group_priority"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """The groups of an inventory without cycles.

    Args:
        order: group names, weakest variables first: by depth, then ansible_group_priority, then name; `all` is first.
        of_host: host -> its groups in that order, ancestors included, without `all`.
        members: group -> its hosts: first those it lists, as listed, then those of its children, level by level.
    """

    order: tuple[str, ...]
    of_host: dict[str, tuple[str, ...]]
    members: dict[str, tuple[str, ...]]


def grow(draft: Draft) -> Tree:
    """Return the tree of `draft`; a cycle is a problem and is cut.

    Args:
        draft: read completely.
    """
    draft.group(ALL)
    parents = _parents(draft)
    depth: dict[str, int] = {}
    for name in draft.groups:
        _measure(name, parents, depth)
    order = sorted(draft.groups, key=lambda name: (depth[name], _priority(draft, name), name))
    rank = {name: index for index, name in enumerate(order)}
    ancestors = {name: _ancestors(name, parents) for name in order}
    direct: dict[str, set[str]] = {name: set() for name in draft.hosts}
    for group in draft.groups.values():
        for host in group.hosts:
            direct[host] |= ancestors[group.name]
    of_host = {}
    for host, groups in direct.items():
        groups.discard(ALL)
        of_host[host] = tuple(sorted(groups, key=rank.__getitem__)) or (UNGROUPED,)
    return Tree(order=tuple(order), of_host=of_host, members=_members(draft, parents, of_host))


def _members(
    draft: Draft, parents: dict[str, set[str]], of_host: dict[str, tuple[str, ...]]
) -> dict[str, tuple[str, ...]]:
    alone = [name for name, groups in of_host.items() if groups == (UNGROUPED,)]
    members: dict[str, tuple[str, ...]] = {}
    for name in draft.groups:
        found: dict[str, None] = {}
        level = [name]
        while level:
            found |= {host: None for group in level for host in draft.groups[group].hosts}
            below = (child for group in level for child in draft.groups[group].children if group in parents[child])
            level = list(dict.fromkeys(below))
        members[name] = tuple(found)
    if alone:
        members[UNGROUPED] = tuple(alone)
    members[ALL] = tuple(dict.fromkeys((*members[ALL], *alone, *draft.hosts)))
    return members


def _parents(draft: Draft) -> dict[str, set[str]]:
    """Return child -> parents, without the edges that close a cycle."""
    parents: dict[str, set[str]] = {name: set() for name in draft.groups}
    for group in list(draft.groups.values()):
        for child, line in group.children.items():
            above = _path(group.name, child, parents)
            if above is not None:
                way = " > ".join((*reversed(above), child))
                message = f"the group {child} would be inside itself: {way}"
                draft.problems.append(Problem(message=message, file=group.file, line=line, field=group.name))
            else:
                parents.setdefault(child, set()).add(group.name)
    return parents


def _path(start: str, goal: str, parents: dict[str, set[str]]) -> list[str] | None:
    """Return the groups from `start` up to its ancestor `goal`, or None."""
    if start == goal:
        return [start]
    for parent in sorted(parents.get(start, ())):
        found = _path(parent, goal, parents)
        if found is not None:
            return [start, *found]
    return None


def _measure(name: str, parents: dict[str, set[str]], depth: dict[str, int]) -> int:
    if name not in depth:
        above = [_measure(parent, parents, depth) for parent in parents.get(name, ())]
        depth[name] = 0 if name == ALL else 1 + max(above, default=0)
    return depth[name]


def _ancestors(name: str, parents: dict[str, set[str]]) -> set[str]:
    """Return the group itself and all above it."""
    found = {name}
    for parent in parents.get(name, ()):
        found |= _ancestors(parent, parents)
    return found


def _priority(draft: Draft, name: str) -> int:
    written = draft.groups[name].vars.get(PRIORITY, Written(1))
    value: Any = written.value
    try:
        return int(value)
    except (TypeError, ValueError):
        draft.problems.append(
            Problem(
                message=f"expected a whole number, found {value!r}",
                file=written.file,
                line=written.line,
                field=f"{name}.vars.{PRIORITY}",
            )
        )
        return 1
