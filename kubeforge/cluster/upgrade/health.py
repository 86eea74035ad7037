"""Is the cluster well enough to be upgraded, and will its certificates last? Judged on what `status` found. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from kubeforge.cluster.status.model import ClusterStatus, Problem, Severity
from kubeforge.cluster.status.rows import Certificate
from kubeforge.cluster.upgrade.obstacles import obstacle
from kubeforge.cluster.upgrade.seen import Seen

__all__ = ["judge_health"]

_BAD: Final = (Severity.CRITICAL, Severity.ERROR)
_JUDGED_HERE: Final = frozenset({"version-skew", "certificate-expired", "authority-expired"})
_SOON: Final = timedelta(days=1)  # an upgrade that is interrupted is gone on with the day after


def judge_health(seen: Seen, *, seconds: float) -> Iterator[Problem]:
    """Say what is amiss already, and which certificates end while the upgrade goes on, or soon.

    Args:
        seen: the cluster.
        seconds: that the upgrade is estimated to take.
    """
    status = seen.status
    yield from _amiss(status)
    for run in status.runs:
        if run.kind != "interrupted":
            yield obstacle("run-active", run.host, run.what)
    for host in seen.hosts.values():
        if host.why:
            yield obstacle("not-seen", host.name, f"its versions, parts and room could not be asked: {host.why}")
    for text in seen.kubernetes.unasked:
        yield obstacle("not-seen", "", f"could not be asked: {text}")
    if not status.kubernetes.version and status.kubernetes.problem:
        message = "could not be asked, as no API answers: nodes, old APIs, PodDisruptionBudgets"
        yield obstacle("not-seen", "", f"{message} ({status.kubernetes.problem})")
    yield from _certificates(status, seconds)


def _amiss(status: ClusterStatus) -> Iterator[Problem]:
    for one in status.problems:
        if one.severity in _BAD and one.kind not in _JUDGED_HERE:
            yield obstacle("unhealthy", one.where, f"{one.message} ({one.kind})", mend=one.remedy)


def _certificates(status: ClusterStatus, seconds: float) -> Iterator[Problem]:
    until = status.asked + timedelta(seconds=seconds) + _SOON
    for one in status.certificates:
        if one.expires is None:
            continue  # `status` calls it unreadable, and that is an error
        day = f"{one.expires:%Y-%m-%d %H:%M} UTC"
        if one.expires <= until:
            ended = one.expires <= status.asked
            yield obstacle(
                "certificate-ended", one.host, f"{one.name} {'has ended' if ended else 'ends before it is done'}: {day}"
            )
        elif one.due:
            yield _due(one, day)


def _due(one: Certificate, day: str) -> Problem:
    kind = "authority-ends" if one.authority else "certificate-ends"
    return obstacle(kind, one.host, f"{one.name} ends in {one.days} days ({day})")
