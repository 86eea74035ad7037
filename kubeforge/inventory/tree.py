"""Groups in groups: cycles, ancestors, and the order in which their variables win, as in Ansible."""

from __future__ import annotations

from collections.abc import Mapping
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
        of_host: host -> its groups, ancestors included, weakest variables first: by depth, then ansible_group_priority,
            then name. Of a rooted tree, without `all`.
        members: group -> its hosts: first those it lists, as listed, then those of its children, level by level.
        children: group -> the groups right below it.
        listed: group -> the hosts it lists itself.
    """

    of_host: dict[str, tuple[str, ...]]
    members: dict[str, tuple[str, ...]]
    children: dict[str, tuple[str, ...]]
    listed: dict[str, tuple[str, ...]]


def grow(draft: Draft, *, rooted: bool = True) -> Tree:
    """Return the tree of `draft`; a cycle is a problem and is cut.

    Args:
        draft: read as far as it is.
        rooted: whether all groups hang below `all` and hosts of no group are `ungrouped`. Ansible does that when
            everything is read; constructed groups are made before, and see `all` only where it is written.
    """
    parents = _parents(draft)
    children = _children(draft, parents, rooted=rooted)
    depth: dict[str, int] = {}
    for name in draft.groups:
        _measure(name, parents, depth)
    order = sorted(draft.groups, key=lambda name: (depth[name], _priority(draft, name), name))
    rank = {name: index for index, name in enumerate(order)}
    ancestors: dict[str, set[str]] = {}
    for name in order:  # parents come before their children
        ancestors[name] = {name}.union(*(ancestors[parent] for parent in parents[name]))
    direct: dict[str, set[str]] = {name: set() for name in draft.hosts}
    for group in draft.groups.values():
        for host in group.hosts:
            direct[host] |= ancestors[group.name]
    alone = [name for name, groups in direct.items() if groups <= {ALL, UNGROUPED}]
    if rooted:
        direct = {name: groups - {ALL, UNGROUPED} or {UNGROUPED} for name, groups in direct.items()}
    listed = {name: tuple(group.hosts) for name, group in draft.groups.items()}
    if rooted:
        lonely = dict.fromkeys(alone)
        written = [name for name in draft.groups[UNGROUPED].hosts if name in lonely]
        listed[UNGROUPED] = tuple(dict.fromkeys((*written, *alone)))
    return Tree(
        of_host={name: tuple(sorted(groups, key=rank.__getitem__)) for name, groups in direct.items()},
        members={name: _members(name, children, listed) for name in draft.groups},
        children=children,
        listed=listed,
    )


def _children(draft: Draft, parents: Mapping[str, set[str]], *, rooted: bool) -> dict[str, tuple[str, ...]]:
    below = {
        name: [child for child in group.children if name in parents[child]] for name, group in draft.groups.items()
    }
    if rooted:
        for name in draft.groups:
            if name != ALL and not parents[name]:
                parents[name].add(ALL)
                below[ALL].append(name)
    return {name: tuple(found) for name, found in below.items()}


def _members(
    name: str, children: Mapping[str, tuple[str, ...]], listed: Mapping[str, tuple[str, ...]]
) -> tuple[str, ...]:
    found: dict[str, None] = {}
    level: tuple[str, ...] = (name,)
    seen: set[str] = set()
    while level:
        seen.update(level)
        found |= {host: None for group in level for host in listed[group]}
        level = tuple(dict.fromkeys(child for group in level for child in children[group] if child not in seen))
    return tuple(found)


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


def _path(start: str, goal: str, parents: Mapping[str, set[str]]) -> list[str] | None:
    """Return the groups from `start` up to its ancestor `goal`, or None."""
    if start == goal:
        return [start]
    for parent in sorted(parents.get(start, ())):
        found = _path(parent, goal, parents)
        if found is not None:
            return [start, *found]
    return None


def _measure(name: str, parents: Mapping[str, set[str]], depth: dict[str, int]) -> int:
    """Return the longest way up from a group."""
    if name not in depth:
        above = [_measure(parent, parents, depth) + 1 for parent in parents.get(name, ())]
        depth[name] = max(above, default=0)
    return depth[name]


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
