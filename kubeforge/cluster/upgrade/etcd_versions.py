"""Which version a member of etcd is of, and which its cluster has agreed on, over the metrics port. Read-only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import httpx2

from kubeforge.cluster.tunnel import get_plainly
from kubeforge.spec.paths import ETCD_METRICS_PORT, LOOPBACK
from kubeforge.transport.base import Remote

__all__ = ["EtcdVersions", "etcd_versions"]

# etcd.io/docs/v3.6/metrics: gauges that are 1 for the label that holds
_SERVER: Final = re.compile(r'^etcd_server_version\{server_version="([0-9.]+)"\} 1$', re.MULTILINE)
_CLUSTER: Final = re.compile(r'^etcd_cluster_version\{cluster_version="([0-9.]+)"\} 1$', re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class EtcdVersions:
    """What a member says; None where it says nothing.

    Args:
        server: its own version.
        cluster: the version that all members have agreed on: the minor of the oldest.
    """

    server: str | None = None
    cluster: str | None = None


def etcd_versions(remote: Remote) -> EtcdVersions:
    """Return what the member of a host says.

    Raises:
        ConnectionFailed: the host cannot be reached.
    """
    status, body = get_plainly(lambda: remote.open_tunnel(LOOPBACK, ETCD_METRICS_PORT), "/metrics")
    if status != httpx2.codes.OK:
        return EtcdVersions()
    server, cluster = (found.group(1) if (found := pattern.search(body)) else None for pattern in (_SERVER, _CLUSTER))
    return EtcdVersions(server=server, cluster=cluster)
