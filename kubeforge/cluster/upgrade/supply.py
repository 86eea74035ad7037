"""Can everything be had that the steps on the way need? Pure: what was looked up is judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.artifacts.availability import Availability
from kubeforge.cluster.status.model import Problem
from kubeforge.cluster.upgrade.obstacles import obstacle
from kubeforge.spec.releases import minor_of

__all__ = ["ImageAnswer", "judge_supply"]

_SHOWN: Final = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageAnswer:
    """What a registry said of an image, asked from a host.

    Args:
        image: reference.
        host: from where it was asked.
        there: whether it has it; None: it could not be asked.
        why: what it said instead.
    """

    image: str
    host: str
    there: bool | None
    why: str = ""


def judge_supply(
    parts: Mapping[str, Sequence[Availability]], images: Sequence[ImageAnswer], offered: Sequence[str]
) -> Iterator[Problem]:
    """Say what cannot be had.

    Args:
        parts: architecture -> the parts of each version on the way.
        images: what registries said of those that nodes pull.
        offered: versions of Kubernetes that the source of parts has.
    """
    for each in parts.values():
        for part in each:
            yield from _of(part, offered)
    for one in images:
        if one.there is False:
            yield obstacle("image-missing", one.host, f"{one.image} cannot be had: {one.why}")
        elif one.there is None:
            yield obstacle("image-doubtful", one.host, f"{one.image} could not be asked for: {one.why}")


def _of(part: Availability, offered: Sequence[str]) -> Iterator[Problem]:
    step = part.versions.kubernetes
    where = f"{step} {part.arch}"
    if part.missing:
        told = "; ".join(part.missing[:_SHOWN])
        more = f"; and {len(part.missing) - _SHOWN} more" if len(part.missing) > _SHOWN else ""
        same = [version for version in offered if minor_of(version) == minor_of(step) and version != step]
        other = f"name one that {part.source} has: {', '.join(same)}; or " if same else ""
        mend = f"{other}take parts from elsewhere: artifacts.source in cluster.yml, kubeforge artifacts list"
        yield obstacle("part-missing", where, f"{part.source} lacks parts: {told}{more}", mend=mend)
    if part.doubtful:
        told = "; ".join(part.doubtful[:_SHOWN])
        yield obstacle("part-doubtful", where, f"{part.source} was not sure: {told}")
    if part.compiles:
        minutes = max(1, round(part.compiles / 60))
        message = f"its parts are compiled first, about {minutes} minutes on two cores"
        yield obstacle("compiles", where, message, step=step)
