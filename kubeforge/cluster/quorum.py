"""Can etcd do without one of its members for a moment? Read-only."""

from __future__ import annotations

from collections.abc import Sequence

from kubeforge.cluster.etcd import NotYet, healthy, members
from kubeforge.cluster.processes import processes
from kubeforge.errors import OperationFailed
from kubeforge.manifests.etcd import ETCD
from kubeforge.transport.base import Remote

__all__ = ["lacks_quorum_without"]


def lacks_quorum_without(remote: Remote, name: str, endpoints: Sequence[str]) -> str | None:
    """Say why the member on a host must not be stopped; None: it may.

    A member that does not run may always be changed: it cannot get worse. With one member or two, stopping one stops
    all, and nothing can be done about that; then all others must be well, so that it comes back.

    Args:
        remote: the member's host.
        name: of the member.
        endpoints: client URLs of the members that should be there.
    """
    if len(endpoints) == 1 or not processes(remote, ETCD):
        return None
    try:
        voters = [member for member in members(remote, endpoints=endpoints) if not member.learner]
    except (NotYet, OperationFailed) as error:
        return f"etcd has no quorum: {error.cause}"
    others = [member for member in voters if member.name != name]
    serving = healthy(remote, [url for member in voters for url in member.client_urls[:1]])
    well = [member for member in others if set(member.client_urls) & serving]
    needed = min(len(voters) // 2 + 1, len(voters) - 1)
    if len(well) >= needed:
        return None
    sick = ", ".join(member.name or member.id for member in others if member not in well)
    verb = "does" if "," not in sick else "do"
    return f"etcd would lose its quorum without this member: {sick} {verb} not serve, and {len(voters)} are members"
