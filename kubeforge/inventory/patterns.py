"""Ansible's host patterns: `web:&eu:!db`, `w*`, `~w[0-9]+`, `kube_node[0]`, `kube_node[0:2]`, with commas or colons."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from typing import Final

from kubeforge.errors import InputError, Problem
from kubeforge.inventory.draft import suggestion
from kubeforge.inventory.model import Host, Inventory

__all__ = ["select"]

_SUBSCRIPT: Final = re.compile(r"(?P<name>.+)\[(?:(?P<index>-?\d+)|(?P<first>\d*)[:-](?P<last>\d*))\]")
_COLONS: Final = re.compile(r":(?![^\[\]]*\])")  # not those inside brackets
_SPECIAL: Final = frozenset("*?[")


def select(inventory: Inventory, pattern: str, *, may_be_empty: bool = False) -> tuple[Host, ...]:
    """Return the hosts that a pattern means.

    Args:
        inventory: where to look.
        pattern: terms joined by `,` or `:`; `&term` keeps only those in both, `!term` takes away. A term is a group, a
            host, a glob or `~regex` over both, with `[i]` or `[first:last]` (ends included) behind it.
        may_be_empty: nobody left is no error (`kube_node:!kube_control_plane` where every node is both).

    Returns:
        In the order of the terms, within a group in its own order; none twice.

    Raises:
        InputError: a term names nothing, cannot be read, or nobody is left and somebody must be.
    """
    terms = _terms(pattern)
    wanted = [term for term in terms if term[0] not in "&!"] or ["all"]
    chosen = dict.fromkeys(name for term in wanted for name in _match(inventory, term, pattern))
    for term in terms:
        if term[0] == "&":
            both = set(_match(inventory, term[1:], pattern))
            chosen = {name: None for name in chosen if name in both}
    for term in terms:
        if term[0] == "!":
            for name in _match(inventory, term[1:], pattern):
                chosen.pop(name, None)
    if not chosen and not may_be_empty:
        raise InputError([Problem(message=f"no host is left in {pattern!r}", field="hosts")])
    return tuple(inventory.hosts[name] for name in chosen)


def _terms(pattern: str) -> list[str]:
    """Split at commas, and at colons outside of brackets; an IPv6 address keeps its own."""
    terms: list[str] = []
    for part in pattern.split(","):
        text = part.strip()
        terms += [text] if _is_ipv6(text) else [each.strip() for each in _COLONS.split(text)]
    found = [term for term in terms if term]
    if not found or any(term in ("&", "!", "~") for term in found):
        raise InputError([Problem(message=f"{pattern!r} is not a host pattern", field="hosts")])
    return found


def _is_ipv6(text: str) -> bool:
    return text.count(":") > 1 and re.fullmatch(r"[0-9a-fA-F:.]+", text) is not None


def _match(inventory: Inventory, term: str, pattern: str) -> tuple[str, ...]:
    """Return the names of one term's hosts.

    Raises:
        InputError: it names no group and no host, or its index is out of range.
    """
    if term in inventory.groups:
        return inventory.groups[term]
    if term in inventory.hosts:
        return (term,)
    match = None if term.startswith("~") else _SUBSCRIPT.fullmatch(term)
    if match is not None and (found := _matching(inventory, match["name"])) is not None:
        return _sliced(found, match, term)
    found = _matching(inventory, term)
    if found is None:
        hint = suggestion(term, (*inventory.groups, *inventory.hosts))
        known = hint or f"; groups are {', '.join(sorted(inventory.groups))}"
        where = "" if term == pattern else f" (in {pattern!r})"
        raise InputError([Problem(message=f"no group and no host is called {term!r}{where}{known}", field="hosts")])
    return found


def _matching(inventory: Inventory, term: str) -> tuple[str, ...] | None:
    """Return the hosts of the groups that a term means, and the hosts it means themselves; None for nothing at all."""
    if term in inventory.groups:
        return inventory.groups[term]
    if term in inventory.hosts:
        return (term,)
    if not term.startswith("~") and not _SPECIAL & set(term):
        return None
    expression = _expression(term)
    groups = [name for name in inventory.groups if expression.match(name)]
    names = [name for group in groups for name in inventory.groups[group]]
    names += [name for name in inventory.hosts if expression.match(name)]
    return tuple(dict.fromkeys(names)) if groups or names else None


def _expression(term: str) -> re.Pattern[str]:
    try:
        return re.compile(term[1:] if term.startswith("~") else fnmatch.translate(term))
    except re.error as error:
        raise InputError([Problem(message=f"{term!r} is not a regular expression: {error}", field="hosts")]) from error


def _sliced(names: Iterable[str], match: re.Match[str], term: str) -> tuple[str, ...]:
    found = tuple(names)
    if match["index"] is not None:
        index = int(match["index"])
        chosen = found[index : index + 1] if index != -1 else found[-1:]
    else:
        last = int(match["last"]) + 1 if match["last"] else None
        chosen = found[int(match["first"] or 0) : last]
    if not chosen:
        raise InputError([Problem(message=f"{term!r} is out of range: there are {len(found)} hosts", field="hosts")])
    return chosen
