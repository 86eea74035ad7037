"""Which versions may stand beside each other, and which may follow. Pure.

Sources: kubernetes.io/releases/version-skew-policy, etcd.io/docs/v3.6/upgrades.
"""

from __future__ import annotations

from typing import Final

from kubeforge.spec.releases import parse

__all__ = [
    "ETCD_SAFE_BEFORE",
    "MAY_TRAIL",
    "etcd_upgrade_problem",
    "skew_problem",
    "snapshot_problem",
    "upgrade_problem",
]

# component -> how many minors it may be older than the API server; none may be newer
MAY_TRAIL: Final = {
    "kubelet": 3,
    "kube-proxy": 3,
    "kube-controller-manager": 1,
    "kube-scheduler": 1,
    "kube-apiserver": 1,
}
_MAY_LEAD: Final = {"kube-apiserver": 1, "kubectl": 1}

# etcd minor -> oldest patch of the minor before from which every member may go to it
ETCD_SAFE_BEFORE: Final = {"3.6": "3.5.32", "3.7": "3.6.11"}


def skew_problem(component: str, version: str, api_server: str) -> str | None:
    """Say what is wrong with running a component beside an API server; None: nothing.

    Args:
        component: `kubelet`, `kube-proxy`, `kube-controller-manager`, `kube-scheduler`, `kubectl`, or
            `kube-apiserver` for two API servers of one cluster.
        version: the component's, without `v`.
        api_server: the API server's; of several, the oldest (for kubectl and kube-apiserver any).
    """
    if parse(version)[0] != parse(api_server)[0]:
        return f"{component} {version} and kube-apiserver {api_server} are of different major versions"
    behind = parse(api_server)[1] - parse(version)[1]
    lead, trail = _MAY_LEAD.get(component, 0), MAY_TRAIL.get(component, 1)
    if -behind > lead:
        limit = f"at most {lead} minor newer than" if lead else "never newer than"
        return f"{component} {version} may be {limit} kube-apiserver {api_server}"
    if behind > trail:
        return (
            f"{component} {version} is {behind} minors older than kube-apiserver {api_server}; at most {trail} may be"
        )
    return None


def upgrade_problem(current: str, wanted: str) -> str | None:
    """Say why a cluster cannot go from one version to another in one step; None: it can."""
    (_, old, *_), (_, new, *_) = parse(current), parse(wanted)
    if new > old + 1:
        return f"from {current} to {wanted} are {new - old} minors; go one at a time, next 1.{old + 1}"
    if parse(wanted) < parse(current):
        return f"{wanted} is older than {current}; Kubernetes does not go back"
    return None


def etcd_upgrade_problem(current: str, wanted: str) -> str | None:
    """Say why an etcd member cannot go from one version to another; None: it can."""
    old, new = parse(current), parse(wanted)
    if new < old:
        return f"etcd {wanted} is older than {current}; go back by restoring a snapshot"
    if old[:2] == new[:2]:
        return None
    if old[0] != new[0] or new[1] != old[1] + 1:
        return f"from etcd {current} to {wanted} is more than one minor"
    safe = ETCD_SAFE_BEFORE.get(f"{new[0]}.{new[1]}")
    if safe and old < parse(safe):
        return f"every etcd member must be {safe} or newer before {wanted}; this one is {current}"
    return None


def snapshot_problem(name: str, taken: str, running: str) -> str | None:
    """Say why what was stored by one version cannot be read by another; None: it can.

    etcd reads databases of its own minor and of the one before (storage versions); API servers read objects that the
    minor before has stored, and of a newer one perhaps none.

    Args:
        name: `etcd` or `Kubernetes`.
        taken: the version when the snapshot was taken.
        running: the version that shall read it.
    """
    (_, old, *_), (_, new, *_) = parse(taken), parse(running)
    if new < old:
        return f"{name} {running} cannot be relied on to read what {name} {taken} has stored: it is older"
    if new > old + 1:
        return f"{name} {running} reads what the minor before has stored, and this was stored by {taken}"
    return None
