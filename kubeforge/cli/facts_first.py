"""Groups that facts make: hosts are asked what they are before a run, and the inventory is read once more with that."""

# ruff: noqa: PLC0415 - most inventories have no such groups
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kubeforge.engine.surveying import Surveyed
    from kubeforge.errors import KubeforgeError
    from kubeforge.inventory.model import Inventory
    from kubeforge.transport.connect import Connections

__all__ = ["with_facts"]


def with_facts(
    known: Inventory,
    read: Callable[[Mapping[str, Mapping[str, Any]]], Inventory],
    connections: Connections,
    *,
    pattern: str | None,
    forks: int | None = None,
) -> Inventory:
    """Return the inventory with the groups that facts make; the same one where there are none.

    Args:
        known: read without facts, with passwords.
        read: reads it again, with what hosts told.
        connections: what hosts are asked by, and are reached by afterwards.
        pattern: which hosts are of interest; None: all.
        forks: hosts asked at once.

    Raises:
        ConnectionFailed: hosts do not answer, so nobody can tell in which groups they are.
        InputError: the inventory has problems with facts.
    """
    from kubeforge.engine.executors import MAX_THREADS, ThreadExecutor
    from kubeforge.engine.fact_variables import variables_of
    from kubeforge.engine.remotes import ConnectedRemotes
    from kubeforge.engine.surveying import survey
    from kubeforge.inventory.patterns import may_mean

    if not known.wants_facts:
        return known
    within = set(may_mean(known, pattern or "all"))
    asked = [name for name in known.wants_facts if name in within]
    executor = ThreadExecutor(forks or MAX_THREADS)
    found = survey(asked, ConnectedRemotes(known, connections).remote, executor)
    silent = [one for one in found if one.facts is None]
    if silent:
        raise _untold(silent, pattern or "all")
    return read(variables_of(found)).entered_like(known)


def _untold(silent: Sequence[Surveyed], pattern: str) -> KubeforgeError:
    from kubeforge.errors import ConnectionFailed

    names = [one.host for one in silent]
    others = ":".join([pattern, *(f"!{name}" for name in names)])
    return ConnectionFailed(
        f"{', '.join(names)}: not known which groups they are in, as facts make groups here and they tell none",
        step="facts",
        evidence=[str(one.failure) for one in silent],
        remedy=f"see that they answer, or leave them out: --limit '{others}'",
    )
