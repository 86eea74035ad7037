"""What `kubeforge status` knows, as frozen values; docs/status.md describes the same fields for programs. No I/O.

The shape is stable: fields are added, and none is renamed or taken away, while `VERSION` stays the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from kubeforge.cluster.status.rows import (
    Addon,
    Certificate,
    Component,
    Endpoint,
    Etcd,
    HostStatus,
    Kubernetes,
    Lookup,
    Node,
    Running,
    Versions,
)
from kubeforge.errors import ApiUnavailable, ConnectionFailed

__all__ = ["VERSION", "ClusterStatus", "Problem", "Severity", "Verdict"]

VERSION: Final = 1
_AMISS: Final = 1


class Severity(StrEnum):
    """How bad a problem is."""

    CRITICAL = "critical"  # the cluster does not serve
    ERROR = "error"  # a part of it does not
    WARNING = "warning"  # all serves, but not for ever
    NOTE = "note"  # worth knowing


class Verdict(StrEnum):
    """The whole in one word."""

    HEALTHY = "healthy"  # no error; warnings and notes may be there
    DEGRADED = "degraded"
    DOWN = "down"  # no API server serves
    UNREACHABLE = "unreachable"  # no control plane can be entered, so nobody knows


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is not as it should be.

    Args:
        kind: a row of `remedies.TABLE`.
        severity: how bad.
        where: host, node, addon or member it is about; empty: the whole cluster.
        message: one sentence, without `where`.
        remedy: the command that mends it, or what to do where none does.
    """

    kind: str
    severity: Severity
    where: str
    message: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterStatus:
    """One look at a cluster.

    Args:
        cluster: its name.
        asked: when, UTC.
        kubernetes: the API as a whole.
        endpoint: its address.
        hosts: of the inventory.
        nodes: hosts that should be nodes, then nodes that others joined.
        components: of control planes.
        etcd: its members.
        certificates: the shortest-lived first.
        versions: by component.
        addons: that cluster.yml wants.
        runs: of kubeforge.
        invitations: ids of tokens that invite control planes to certificates that are no longer there.
        problems: the worst first.
    """

    cluster: str
    asked: datetime
    kubernetes: Kubernetes
    endpoint: Endpoint = field(default_factory=Endpoint)
    dns: tuple[Lookup, ...] = ()
    hosts: tuple[HostStatus, ...] = ()
    nodes: tuple[Node, ...] = ()
    components: tuple[Component, ...] = ()
    etcd: Etcd = field(default_factory=Etcd)
    certificates: tuple[Certificate, ...] = ()
    versions: tuple[Versions, ...] = ()
    addons: tuple[Addon, ...] = ()
    runs: tuple[Running, ...] = ()
    invitations: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The whole in one word."""
        if not self.kubernetes.version:
            planes = [host for host in self.hosts if "control-plane" in host.roles]
            return Verdict.DOWN if any(host.reachable for host in planes) else Verdict.UNREACHABLE
        worst = {problem.severity for problem in self.problems}
        return Verdict.DEGRADED if worst & {Severity.CRITICAL, Severity.ERROR} else Verdict.HEALTHY

    @property
    def exit_code(self) -> int:
        """0 healthy, 1 degraded, 16 no API server serves, 11 no control plane can be entered; as in `errors`."""
        return {
            Verdict.HEALTHY: 0,
            Verdict.DEGRADED: _AMISS,
            Verdict.DOWN: ApiUnavailable.exit_code,
            Verdict.UNREACHABLE: ConnectionFailed.exit_code,
        }[self.verdict]

    def to_data(self) -> dict[str, Any]:
        """Return plain JSON data."""
        said = plain(asdict(self))
        return {"version": VERSION, "verdict": str(self.verdict), "good": self.exit_code == 0, **said}


def plain(value: Any) -> Any:
    """Turn what JSON and YAML do not know into text."""
    if isinstance(value, Mapping):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%SZ")
    return str(value) if isinstance(value, StrEnum) else value
