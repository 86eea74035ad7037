"""Ansible's host patterns: `web:&eu:!db`, `w*`, `~w[0-9]+`, `web[0]`, `web[0:2]`, `@file`, with commas or colons."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from kubeforge.errors import InputError, Problem
from kubeforge.inventory.draft import suggestion
from kubeforge.inventory.model import Host, Inventory

__all__ = ["depends_on_facts", "may_mean", "of_facts", "select", "unmade"]

_SUBSCRIPT: Final = re.compile(r"(?P<name>.+)\[(?:(?P<index>-?\d+)|(?P<first>\d*)[:-](?P<last>\d*))\]")
_COLONS: Final = re.compile(r":(?![^\[\]]*\])")  # not those inside brackets
_SPECIAL: Final = frozenset("*?[")


def select(inventory: Inventory, pattern: str, *, may_be_empty: bool = False) -> tuple[Host, ...]:
    """Return the hosts that a pattern means.

    Args:
        inventory: where to look.
        pattern: terms joined by `,` or `:`; `&term` keeps only those in both, `!term` takes away. A term is a host, a
            group, a glob or `~regex` over both, with `[i]` or `[first:last]` (ends included) behind it, or `@file`: a
            term a line.
        may_be_empty: nobody left is no error (`kube_node:!kube_control_plane` where every node is both).

    Returns:
        In the order of the terms, within a group in its own order; none twice.

    Raises:
        InputError: a term names nothing, cannot be read, or nobody is left and somebody must be.
    """
    terms = _terms(pattern)
    found = {term: _match(inventory, term.lstrip("&!") if term[0] in "&!" else term, pattern) for term in terms}
    wanted = [term for term in terms if term[0] not in "&!"]
    chosen = dict.fromkeys(name for term in wanted for name in found[term])
    if not wanted:
        chosen = dict.fromkeys(inventory.groups.get("all", ()))
    for term in terms:
        if term[0] == "&":
            chosen = {name: None for name in chosen if name in found[term]}
    for term in terms:
        if term[0] == "!":
            chosen = {name: None for name in chosen if name not in found[term]}
    if not chosen and not may_be_empty:
        counts = ", ".join(f"{term} means {len(found[term])}" for term in terms)
        raise InputError([Problem(message=f"no host is left in {pattern!r} ({counts})", field="hosts")])
    return tuple(inventory.hosts[name] for name in chosen)


def depends_on_facts(inventory: Inventory, pattern: str) -> bool:
    """Return whether facts that are not known yet may change what a pattern means.

    Raises:
        InputError: it cannot be read, or a term names nothing that facts could make.
    """
    known = [_known(inventory, term.lstrip("&!"), pattern) for term in _terms(pattern)]
    return bool(inventory.wants_facts) and None in known


def may_mean(inventory: Inventory, pattern: str) -> tuple[str, ...]:
    """Return the names of all hosts that a pattern may mean once facts have made their groups.

    Raises:
        InputError: it cannot be read.
    """
    everybody = tuple(inventory.hosts)
    known = {term: _known(inventory, term.lstrip("&!"), pattern) for term in _terms(pattern)}
    wanted = [everybody if hosts is None else hosts for term, hosts in known.items() if term[0] not in "&!"]
    chosen = {name for hosts in wanted or [everybody] for name in hosts}
    for term, hosts in known.items():
        if term[0] == "&" and hosts is not None:
            chosen &= set(hosts)
        elif term[0] == "!" and hosts is not None:
            chosen -= set(hosts)
    return tuple(name for name in everybody if name in chosen)


def of_facts(inventory: Inventory, pattern: str) -> tuple[str, ...]:
    """Return the terms of a pattern that name a group which facts may make: of whom it means, the hosts have a say.

    Raises:
        InputError: it cannot be read.
    """
    names = [term.lstrip("&!") for term in _terms(pattern)]
    return tuple(name for name in names if _is_of_facts(inventory, name))


def unmade(inventory: Inventory, pattern: str) -> tuple[str, ...]:
    """Return the terms of a pattern that name a group which facts may make and have not made."""
    return tuple(name for name in of_facts(inventory, pattern) if _matching(inventory, name) is None)


def _is_of_facts(inventory: Inventory, term: str) -> bool:
    return any(fnmatch.fnmatchcase(term, group) for group in inventory.of_facts)


def _known(inventory: Inventory, term: str, pattern: str) -> tuple[str, ...] | None:
    """Return the hosts of a term that facts change nothing about; None where they may."""
    if term in inventory.hosts:
        return (term,)
    is_open = _is_of_facts(inventory, term) or term.startswith("~") or _SPECIAL & set(term)
    return None if is_open and inventory.of_facts else _match(inventory, term, pattern)


def _terms(pattern: str) -> list[str]:
    """Split at commas, and at colons outside of brackets; an IPv6 address keeps its own."""
    terms: list[str] = []
    for part in pattern.split(","):
        text = part.strip()
        if text.startswith("@"):
            terms += _listed(Path(text[1:]))
        else:
            terms += [text] if _is_ipv6(text) else [each.strip() for each in _COLONS.split(text)]
    found = [term for term in terms if term]
    if not found or any(term in ("&", "!", "~") for term in found):
        raise InputError([Problem(message=f"{pattern!r} is not a host pattern", field="hosts")])
    return found


def _listed(path: Path) -> list[str]:
    """Return the terms that a file lists, a line each; `#` begins a comment.

    Raises:
        InputError: it cannot be read.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise InputError([Problem(message=f"the file of a pattern cannot be read: {why}", file=str(path))]) from error
    return [term for line in lines for term in _COLONS.split(line.partition("#")[0].strip()) if term]


def _is_ipv6(text: str) -> bool:
    return text.count(":") > 1 and re.fullmatch(r"[0-9a-fA-F:.]+", text) is not None


def _match(inventory: Inventory, term: str, pattern: str) -> tuple[str, ...]:
    """Return the names of one term's hosts.

    Raises:
        InputError: it names no group and no host, or its index is out of range.
    """
    if term in inventory.hosts:
        return (term,)
    if term in inventory.groups:
        return inventory.groups[term]
    match = None if term.startswith("~") else _SUBSCRIPT.fullmatch(term)
    if match is not None and (found := _matching(inventory, match["name"])) is not None:
        return _sliced(found, match, term)
    found = _matching(inventory, term)
    if found is None and _is_of_facts(inventory, term):
        return ()  # no host is so
    if found is None:
        hint = suggestion(term, (*inventory.groups, *inventory.hosts))
        known = hint or f"; groups are {', '.join(sorted(inventory.groups))}"
        where = "" if term == pattern else f" (in {pattern!r})"
        raise InputError([Problem(message=f"no group and no host is called {term!r}{where}{known}", field="hosts")])
    return found


def _matching(inventory: Inventory, term: str) -> tuple[str, ...] | None:
    """Return the hosts of the groups that a term means, and the hosts it means themselves; None for nothing at all."""
    if term in inventory.hosts:
        return (term,)
    if term in inventory.groups:
        return inventory.groups[term]
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
