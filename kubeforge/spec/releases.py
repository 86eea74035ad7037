"""One frozen row per Kubernetes minor: what goes with it, and in what it differs. Data; the rest asks, never compares.

A new minor is a new row (and its goldens). Which digest belongs to which file is the artifact catalogue's business,
which versions may stand beside each other is in `skew`.

Sources: CHANGELOG-1.3x.md, cmd/kubeadm/app/constants/constants.go and pkg/kubelet of each minor (state 2026-11).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

__all__ = ["MINORS", "RECOMMENDED", "RELEASES", "Release", "minor_of", "parse", "release"]

_CADVISOR_FLAGS: Final = (
    "application-metrics-count-limit",
    "boot-id-file",
    "container-hints",
    "containerd",
    "containerd-namespace",
    "enable-load-reader",
    "event-storage-age-limit",
    "event-storage-event-limit",
    "global-housekeeping-interval",
    "housekeeping-interval",
    "log-cadvisor-usage",
    "machine-id-file",
    "storage-driver-buffer-duration",
    "storage-driver-db",
    "storage-driver-host",
    "storage-driver-password",
    "storage-driver-secure",
    "storage-driver-table",
    "storage-driver-user",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """What goes with one Kubernetes minor. All versions without `v`.

    Args:
        minor: `1.36`.
        kubernetes: newest patch known when this row was written.
        etcd: version run by default.
        coredns: version run by default.
        pause: sandbox image.
        containerd: version run by default.
        runc: version run by default.
        cni_plugins: containernetworking/plugins.
        flannel: flanneld.
        traefik: ingress controller.
        containerd_minimum: oldest containerd this minor's kubelet is supported with.
        kubeadm_api: apiVersion of the ClusterConfiguration that is stored in the kubeadm-config ConfigMap.
        kubeadm_etcd_tag: image tag of etcd that kubeadm of this minor takes unless `etcd.local.imageTag` names another.
        kubelet_flags_dropped: flags (no dashes) that make this minor's kubelet refuse to start.
        etcd_flags_dropped: beginnings of flags (no dashes) that make the etcd of this minor refuse to start.
        kubelet_client_plain_from: patch from which apiserver-kubelet-client.crt carries no O and the
            ClusterRoleBinding kubeadm:apiserver-kubelet-client grants its rights instead.
        fail_cgroup_v1: the kubelet's default of failCgroupV1.
        end_of_life: ISO date, by upstream.
    """

    minor: str
    kubernetes: str
    etcd: str
    coredns: str
    pause: str
    containerd: str = "2.3.7"
    runc: str = "1.4.3"
    cni_plugins: str = "1.9.1"
    flannel: str = "0.28.4"
    traefik: str = "3.6.12"
    containerd_minimum: str = "1.7.0"
    kubeadm_api: str = "kubeadm.k8s.io/v1beta4"
    kubeadm_etcd_tag: str
    kubelet_flags_dropped: tuple[str, ...] = ()
    etcd_flags_dropped: tuple[str, ...] = ()
    kubelet_client_plain_from: str
    fail_cgroup_v1: bool = True
    end_of_life: str

    def kubelet_client_organization(self, version: str) -> str | None:
        """Return the O of apiserver-kubelet-client.crt for a patch of this minor; None: it has none."""
        plain = parse(version) >= parse(self.kubelet_client_plain_from)
        return None if plain else "kubeadm:cluster-admins"


RELEASES: Final[tuple[Release, ...]] = (
    Release(
        minor="1.35",
        kubernetes="1.35.8",
        etcd="3.6.16",
        coredns="1.13.1",
        pause="3.10.1",
        kubeadm_etcd_tag="3.6.6-0",
        kubelet_flags_dropped=("pod-infra-container-image",),
        kubelet_client_plain_from="1.35.5",
        end_of_life="2027-02-28",
    ),
    Release(
        minor="1.36",
        kubernetes="1.36.4",
        etcd="3.6.16",
        coredns="1.14.2",
        pause="3.10.2",
        kubeadm_etcd_tag="3.6.8-0",
        kubelet_flags_dropped=("pod-infra-container-image",),
        kubelet_client_plain_from="1.36.1",
        end_of_life="2027-06-28",
    ),
    Release(
        minor="1.37",
        kubernetes="1.37.0",
        etcd="3.7.0",
        coredns="1.14.6",
        pause="3.10.2",
        kubeadm_etcd_tag="3.7.0-0",
        kubelet_flags_dropped=("pod-infra-container-image", *_CADVISOR_FLAGS),
        etcd_flags_dropped=("experimental-",),
        kubelet_client_plain_from="1.37.0",
        end_of_life="2027-10-28",
    ),
)

MINORS: Final[tuple[str, ...]] = tuple(row.minor for row in RELEASES)


RECOMMENDED: Final = "1.36.3"
"""What examples and messages name: the newest that every source has, compiling from Go modules included."""


def parse(version: str) -> tuple[int, ...]:
    """Return `(1, 36, 3)` of `1.36.3` or `v1.36.3`; pre-release and build suffixes are dropped.

    Raises:
        ValueError: it is no version.
    """
    core = version.removeprefix("v").partition("-")[0].partition("+")[0]
    return tuple(int(part) for part in core.split("."))


def minor_of(version: str) -> str:
    """Return `1.36` of `1.36.3`, `v1.36.3` or `1.36`."""
    major, minor = parse(version)[:2]
    return f"{major}.{minor}"


def release(version: str) -> Release:
    """Return the row of a minor (`1.36`) or of any patch of it (`1.36.3`).

    Raises:
        LookupError: kubeforge has no row for it; the message lists those it has.
    """
    minor = minor_of(version)
    for row in RELEASES:
        if row.minor == minor:
            return row
    raise LookupError(f"Kubernetes {minor} is not supported; supported: {', '.join(MINORS)}")
