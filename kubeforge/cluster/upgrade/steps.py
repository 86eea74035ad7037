"""By which versions `kubeforge upgrade apply` goes, given what runs already: an earlier run may have begun. Pure."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from kubeforge.cluster.upgrade.path import path, wanted_version
from kubeforge.errors import InputError, Problem
from kubeforge.spec.releases import minor_of, parse

__all__ = ["steps_to"]

_WAYS: Final = "kubeforge upgrade plan lists where you can go; kubeforge upgrade rollback takes the last upgrade back"


def steps_to(running: Collection[str], wanted: str, *, via: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the versions by which a cluster goes, the last of them `wanted`, also where all API servers run it.

    A minor on the way is reached by the patch that `via` names; else by the newest that already runs somewhere, as an
    earlier run has begun with it; else by the newest patch that is known.

    Args:
        running: versions of the API servers; empty: nobody tells, so there is one step.
        wanted: full version, or a minor: its newest patch that is known.
        via: full versions on the way.

    Raises:
        InputError: there is no way, or `via` names what is not on it.
    """
    wanted = wanted_version(wanted, ())
    if not running:
        return (wanted,)
    oldest, newest = (choose(running, key=parse) for choose in (min, max))
    chosen = [wanted_version(one, ()) for one in via]
    named = {minor_of(version) for version in chosen}
    offered = [*chosen, *(version for version in running if minor_of(version) not in named)]
    found = path(newest, wanted, offered)
    if not found.problem:
        found = path(oldest, wanted, offered)
    if found.problem:
        told = [Problem(message=found.problem, field="VERSION")]
        raise InputError(told, remedy=_WAYS)
    strays = [version for version in chosen if version not in found.steps[:-1]]
    if strays:
        between = ", ".join(found.steps[:-1]) or "there is none"
        message = f"{', '.join(strays)} is not between {oldest} and {wanted}; on the way: {between}"
        raise InputError([Problem(message=message, field="--via")])
    return found.steps or (wanted,)
