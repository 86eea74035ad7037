"""Which versions lie between what runs and what is wanted: one minor at a time. Pure.

Source: kubernetes.io/releases/version-skew-policy (API servers of one cluster may differ by one minor, so no minor is
skipped). Within a minor any later patch may follow any earlier one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.errors import InputError, Problem
from kubeforge.spec.releases import MINORS, minor_of, parse, release
from kubeforge.spec.suggestions import did_you_mean

__all__ = ["Path", "newest", "path", "steps_to", "targets", "wanted_version"]

_CHOICES: Final = "kubeforge upgrade plan, without a version, lists those you can go to"
_WAYS: Final = "kubeforge upgrade plan lists where you can go; kubeforge upgrade rollback takes the last upgrade back"
_MINOR: Final = 2  # numbers in `1.36`
_PATCH: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """The way from one version to another.

    Args:
        steps: versions to go through, the wanted one last; empty: there is nothing to do, or no way.
        problem: why there is no way; empty: there is one.
        back: whether that is because it would go back.
    """

    steps: tuple[str, ...] = ()
    problem: str = ""
    back: bool = False


def wanted_version(text: str, offered: Collection[str]) -> str:
    """Return the version that a person named: a patch, or the newest one of a minor.

    Args:
        text: `1.36.3`, `v1.36.3` or `1.36`.
        offered: versions that the source of parts has.

    Raises:
        InputError: it is no version, or of a minor that kubeforge does not know.
    """
    try:
        numbers = parse(text)
        known = release(text) if len(numbers) in (_MINOR, _PATCH) else None
    except ValueError:
        known = None
    except LookupError as error:
        raise InputError([Problem(message=str(error.args[0]), field="VERSION")], remedy=_CHOICES) from None
    if known is None:
        hint = did_you_mean(text, (*MINORS, *offered))
        message = f"`{text}` is no version; write 1.36.3, or 1.36 for its newest patch{hint}"
        raise InputError([Problem(message=message, field="VERSION")], remedy=_CHOICES)
    return ".".join(map(str, numbers)) if len(numbers) == _PATCH else newest(known.minor, offered)


def newest(minor: str, offered: Collection[str]) -> str:
    """Return the newest patch of a minor that the source has; where it has none, the newest that is known."""
    patches = [version for version in offered if minor_of(version) == minor]
    return max(patches, key=parse) if patches else release(minor).kubernetes


def targets(now: str, offered: Collection[str]) -> tuple[str, ...]:
    """Return where a cluster can go: the newest patch of its minor, and of each later one.

    Args:
        now: the oldest version that an API server runs.
        offered: versions that the source of parts has.
    """
    minors = [minor for minor in MINORS if parse(minor) >= parse(now)[:_MINOR]]
    found = [newest(minor, offered) for minor in minors]
    return tuple(version for version in found if parse(version) > parse(now))


def path(now: str, wanted: str, offered: Sequence[str], running: Collection[str] = ()) -> Path:
    """Return the way to a version.

    Args:
        now: the oldest version that an API server runs.
        wanted: where to.
        offered: versions that the source of parts has; of minors on the way the newest of these is taken.
        running: versions of all API servers; one of a minor on the way, which an earlier run began with, is kept.
    """
    (major, old), (other, new) = parse(now)[:_MINOR], parse(wanted)[:_MINOR]
    if major != other or parse(wanted) < parse(now):
        return Path(problem=f"{wanted} is older than {now}; Kubernetes does not go back", back=True)
    between = [f"{major}.{minor}" for minor in range(old + 1, new)]
    unknown = [minor for minor in between if minor not in MINORS]
    if unknown:
        lacking = ", ".join(unknown)
        return Path(problem=f"from {now} to {wanted} no minor may be skipped, and kubeforge does not know {lacking}")
    steps = [*(newest(minor, _begun(minor, running) or offered) for minor in between), wanted]
    return Path(steps=tuple(step for step in steps if step != now))


def _begun(minor: str, running: Collection[str]) -> list[str]:
    return [version for version in running if minor_of(version) == minor]


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
