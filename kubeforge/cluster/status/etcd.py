"""One look at etcd alone: its hosts are asked side by side what their members say. Reads only, and asks no API."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from kubeforge.cluster.status.members import etcd_of
from kubeforge.cluster.status.probe import Answer, Asked, probe
from kubeforge.cluster.status.rows import Etcd
from kubeforge.errors import KubeforgeError
from kubeforge.inventory.model import Host
from kubeforge.transport.base import Remote

__all__ = ["look_at_etcd"]

_THREADS: Final = 16
_ASKED: Final = Asked(certificates={}, kubeconfigs=(), etcd=True)


def look_at_etcd(hosts: Sequence[Host], remote_of: Callable[[str], Remote]) -> Etcd:
    """Ask etcd how it is; a host that cannot be asked is said in its place.

    Args:
        hosts: those of the inventory that should have a member.
        remote_of: host name -> Remote.
    """

    def ask(host: Host) -> Answer | None:
        try:
            return probe(remote_of(host.name), _ASKED)
        except KubeforgeError:
            return None  # the picture says that it cannot be asked

    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        answers = list(pool.map(ask, hosts))
    return etcd_of(hosts, {host.name: one for host, one in zip(hosts, answers, strict=True) if one is not None})
