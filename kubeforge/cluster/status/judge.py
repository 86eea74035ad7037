"""Says what is wrong in a look at a cluster. Pure: a ClusterStatus goes in, problems come out, the worst first.

What follows from another problem is not told again: of a host that cannot be asked, only that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kubeforge.cluster.status.model import ClusterStatus, Problem, Severity
from kubeforge.cluster.status.remedies import problem
from kubeforge.cluster.status.rows import Certificate, Member, Node
from kubeforge.manifests.control_plane import API_SERVER, CONTROLLER_MANAGER, SCHEDULER
from kubeforge.manifests.etcd import ETCD

__all__ = ["judge"]

_ORDER: Final = tuple(Severity)
_LAG: Final = 1000  # entries; etcd refuses writes when it has 5000 to apply (server/etcdserver/v3_server.go)
_FULL: Final = 0.8
_POD_LOG: Final = "'tail -n 20 /var/log/pods/kube-system_{component}-*/*/*.log'"
_UP: Final = ("active", "activating", "reloading")
_PLANE: Final = "control-plane"


def judge(status: ClusterStatus) -> tuple[Problem, ...]:
    """Return everything that is wrong.

    Args:
        status: as it was seen; its own problems are not looked at.
    """
    gone = {host.name for host in status.hosts if not host.reachable}
    found = [
        *_api(status),
        *_quorum(status),
        *_hosts(status, gone),
        *_nodes(status, gone),
        *_components(status, gone),
        *_members(status, gone),
        *_authorities(status),
        *_certificates(status),
        *_endpoint(status),
        *_versions(status),
        *_addons(status),
        *_dns(status, gone),
        *_invitations(status),
        *_runs(status),
    ]
    return tuple(sorted(found, key=lambda one: _ORDER.index(one.severity)))


def _first_plane(status: ClusterStatus) -> str:
    """Return a control plane that can be entered, for a remedy."""
    planes = [host for host in status.hosts if _PLANE in host.roles]
    return next((host.name for host in planes if host.reachable), planes[0].name if planes else "")


def _api(status: ClusterStatus) -> Iterator[Problem]:
    if status.kubernetes.version:
        return
    planes = [host for host in status.hosts if _PLANE in host.roles]
    if not any(host.reachable for host in planes):
        hosts = ", ".join(host.name for host in planes)
        yield problem(
            "control-plane-unreachable",
            "",
            "no control plane can be entered",
            hosts=hosts,
            first=planes[0].name if planes else "",
        )
        return
    why = status.kubernetes.problem
    if not any(API_SERVER in host.manifests for host in planes) and "admin.conf" in why:
        yield problem("no-kubeconfig", "", why)
    elif status.etcd.quorum is False:
        yield problem("api-down-with-etcd", "", f"no API server serves: {why}")
    elif any(one.component == API_SERVER and one.ready for one in status.components):
        yield problem("api-refuses", "", f"API servers live, but tell us nothing: {why}")
    else:
        first = _first_plane(status)
        yield problem(
            "api-down", "", f"no API server serves: {why}", first=first, log=_POD_LOG.format(component=API_SERVER)
        )


def _quorum(status: ClusterStatus) -> Iterator[Problem]:
    etcd = status.etcd
    voters = [one for one in etcd.members if not one.learner and one.registered is not False]
    if etcd.quorum is not False or len(voters) < 2:
        return
    alive = [one.host for one in voters if one.answers]
    missing = [f"{one.host} ({one.problem})" for one in voters if not one.answers]
    survivor = (alive or [one.host for one in voters])[0]
    message = (
        f"etcd has lost its quorum: {len(alive)} of {len(voters)} members answer, {etcd.needed} are needed;"
        f" missing: {', '.join(missing) or 'none, but they know no leader'}"
    )
    names = ", ".join(one.host for one in voters if not one.answers) or "the network between the members"
    yield problem("etcd-quorum-lost", "", message, missing=names, survivor=survivor)


def _hosts(status: ClusterStatus, gone: set[str]) -> Iterator[Problem]:
    not_ready = {node.name for node in status.nodes if node.ready is False}
    for host in status.hosts:
        if host.name in gone:
            also = "; its node is not Ready" if host.name in not_ready else ""
            yield problem("host-unreachable", host.name, f"cannot be asked: {host.problem}{also}")
            continue
        for unit, state in host.balancer.items():
            if state not in _UP:
                message = f"the balancer's {unit} is {state or 'not installed'}"
                yield problem("balancer-down", host.name, message, unit=unit)
        node = set(host.roles) & {_PLANE, "worker"}
        if node and host.runtime not in _UP:
            yield problem("runtime-down", host.name, f"containerd is {host.runtime or 'not installed'}")
        if node and host.kubelet not in _UP:
            yield problem("kubelet-down", host.name, f"its kubelet is {host.kubelet or 'not installed'}")


def _nodes(status: ClusterStatus, gone: set[str]) -> Iterator[Problem]:
    down = {host.name for host in status.hosts if host.kubelet not in _UP or host.runtime not in _UP}
    for node in status.nodes:
        if not node.in_inventory:
            yield problem("node-foreign", node.name, "is a node, and hosts.yml does not know it")
        if node.registered is False and node.name not in gone:
            yield problem("node-missing", node.name, "is in hosts.yml, and not a node of the cluster")
        if node.ready is False and node.name not in gone | (down if node.in_inventory else set()):
            yield problem("node-not-ready", node.name, f"is not Ready: {node.problem}")
        if node.pressure:
            yield problem("node-pressure", node.name, f"has {', '.join(node.pressure)}")
        if node.schedulable is False:
            yield problem("node-cordoned", node.name, "takes no new pods")
        if node.waiting:
            yield _waits(node)


def _waits(node: Node) -> Problem:
    message = "its serving certificate waits for approval, so logs and exec fail there"
    other = f"kubeforge kubectl -- certificate approve {node.waiting}"
    mend = f"kubeforge apply --limit {node.name}" if node.in_inventory else other
    return problem("serving-certificate-waits", node.name, message, mend=mend)


def _components(status: ClusterStatus, gone: set[str]) -> Iterator[Problem]:
    manifests = {host.name: host.manifests for host in status.hosts}
    for one in status.components:
        if one.ready is not False or one.host in gone:
            continue
        if one.in_inventory and one.component not in manifests.get(one.host, ()):
            yield problem("component-missing", one.host, f"has no manifest of {one.component}")
        elif status.kubernetes.version or one.component != API_SERVER:
            why = one.problem or "is not ready"
            yield problem(
                "component-down", one.host, f"{one.component}: {why}", log=_POD_LOG.format(component=one.component)
            )
    for component in (CONTROLLER_MANAGER, SCHEDULER):
        these = [one for one in status.components if one.component == component]
        if status.kubernetes.version and any(one.ready for one in these) and not any(one.leader for one in these):
            names = {"first": _first_plane(status), "log": _POD_LOG.format(component=component)}
            yield problem("component-leaderless", "", f"no {component} leads", **names)


def _members(status: ClusterStatus, gone: set[str]) -> Iterator[Problem]:
    etcd = status.etcd
    asked = next((one.host for one in etcd.members if one.answers), "")
    planes = {host.name for host in status.hosts if _PLANE in host.roles}
    for one in etcd.members:
        yield from _about(one, asked)
        yield from _serving(one, planes, lonely=len(etcd.members) == 1, lost=etcd.quorum is False, gone=gone)
    if any("NOSPACE" in one.alarms for one in etcd.members):
        full = ", ".join(one.host for one in etcd.members if "NOSPACE" in one.alarms)
        yield problem("etcd-nospace", "", f"etcd takes no writes: its quota is used up on {full}", member=asked)


def _serving(one: Member, planes: set[str], *, lonely: bool, lost: bool, gone: set[str]) -> Iterator[Problem]:
    """Whether a member of the inventory is one, and serves; where the quorum is lost, that is said as a whole."""
    if not one.in_inventory:
        return
    if one.registered is False and one.host not in gone:
        yield problem("etcd-member-missing", one.host, "is no member of etcd's cluster")
    elif not one.has_data and not lost:
        yield problem("etcd-data-lost", one.host, f"etcd: {one.problem}")
    elif one.problem and one.answers is not None and (lonely or not lost):
        log = _POD_LOG.format(component=ETCD) if one.host in planes else "journalctl -u etcd -n 20"
        yield problem("etcd-member-down", one.host, f"etcd: {one.problem}", log=log)


def _about(one: Member, asked: str) -> Iterator[Problem]:
    """What a member says of itself, and what others say of it."""
    if not one.in_inventory:
        kind = "etcd-member-foreign" if one.host else "etcd-member-unstarted"
        message = f"is an etcd member ({one.id}), and hosts.yml does not know it" if one.host else one.problem
        yield problem(kind, one.host, message, member=asked, id=one.id)
    if "CORRUPT" in one.alarms:
        yield problem("etcd-corrupt", one.host, "etcd has found its data corrupt", member=asked, id=one.id)
    if one.learner:
        yield problem("etcd-learner", one.host, "its etcd member does not vote yet", member=asked, id=one.id)
    if one.lag > _LAG:
        yield problem("etcd-lags", one.host, f"its etcd member is {one.lag} entries behind")
    if one.quota and one.size > _FULL * one.quota and "NOSPACE" not in one.alarms:
        share = f"{one.size / one.quota:.0%} of its quota of {one.quota >> 20} MiB, {one.in_use >> 20} MiB in use"
        yield problem("etcd-nearly-full", one.host, f"etcd's database has {share}", member=asked)


def _authorities(status: ClusterStatus) -> Iterator[Problem]:
    """The cluster's authority is the one that most ca.crt and kubelet.conf have."""
    votes = [one for host in status.hosts for one in (host.trusts, host.authority) if one]
    ours = max(votes, key=votes.count, default="")
    for host in status.hosts:
        if host.authority and host.authority != ours:
            message = f"its /etc/kubernetes/pki/ca.crt is another cluster's: SHA-256 {host.authority}, not {ours}"
            yield problem("authority-foreign", host.name, message)


def _certificates(status: ClusterStatus) -> Iterator[Problem]:
    for one in status.certificates:
        if one.days is None:
            yield problem("certificate-unreadable", one.host, f"{one.path} holds no certificate", path=one.path)
        elif one.due:
            yield _ending(one, one.days)


def _ending(one: Certificate, days: int) -> Problem:
    said = f"{one.name} ({one.path})"
    message = f"{said} has expired {-days} days ago" if days < 0 else f"{said} ends in {days} days"
    if one.authority:
        return problem("authority-expired" if days < 0 else "authority-expires", one.host, message)
    if one.rotates:
        kind = "kubelet-certificate-expired" if days < 0 else "kubelet-certificate-not-rotated"
        return problem(kind, one.host, message, path=one.path)
    return problem("certificate-expired" if days < 0 else "certificate-expires", one.host, message)


def _endpoint(status: ClusterStatus) -> Iterator[Problem]:
    """Where no API server serves, no way leads to one; that is said already."""
    if not status.kubernetes.version:
        return
    endpoint = status.endpoint
    silent = [way for way in endpoint.ways if not way.answers]
    outer = f"make the balancer at {endpoint.address} lead to port 6443 of the control planes"
    alike = {way.server for way in silent} == {f"https://{endpoint.address}"}
    if alike and len(silent) == len(endpoint.ways) > 1:
        mend = outer if endpoint.kind == "external" else "kubeforge apply puts the balancers right"
        message = f"nobody finds an API at {endpoint.address}: {silent[0].problem}"
        yield problem("endpoint-silent", "", message, mend=mend)
        return
    for way in silent:
        own = f"kubeforge apply --limit {way.host} puts its kubelet.conf and its balancer right"
        mend = outer if endpoint.kind == "external" else own
        yield problem("endpoint-silent", way.host, f"finds no API at {way.server}: {way.problem}", mend=mend)


def _versions(status: ClusterStatus) -> Iterator[Problem]:
    wanted = status.kubernetes.wanted
    core = (API_SERVER, CONTROLLER_MANAGER, SCHEDULER, "kubelet", "kube-proxy")
    for one in status.versions:
        where = ",".join(one.hosts)
        if one.skew:
            yield problem("version-skew", where, one.skew)
        elif one.component in core and one.version != wanted:
            yield problem("version-differs", where, f"{one.component} is {one.version}, cluster.yml says {wanted}")


def _addons(status: ClusterStatus) -> Iterator[Problem]:
    for one in status.addons:
        if not one.problem:
            continue
        kind, _, name = one.workload.partition(" ")
        namespace, _, name = name.partition("/")
        missing = one.desired is None
        names = {"namespace": namespace, "workload": f"{kind.lower()}/{name}"}
        yield problem("addon-missing" if missing else "addon-not-ready", one.name, one.problem, **names)


def _dns(status: ClusterStatus, gone: set[str]) -> Iterator[Problem]:
    """Cluster DNS; where the API is down, an addon lacks pods or a node is not well, that is why, and is said."""
    whole = all(node.ready for node in status.nodes) and not any(one.problem for one in status.addons)
    if gone or not whole or not status.kubernetes.version:
        return
    silent = [one for one in status.dns if not one.answers]
    if len(silent) == len(status.dns) > 1:
        message = f"cluster DNS does not answer on any node: {silent[0].problem}"
        yield problem("dns-silent", "", message, node=silent[0].host)
        return
    for one in silent:
        yield problem("dns-silent", one.host, f"cluster DNS does not answer there: {one.problem}", node=one.host)


def _invitations(status: ClusterStatus) -> Iterator[Problem]:
    for one in status.invitations:
        message = f"the certificates that token {one} invited a control plane to have gone, or were uploaded anew"
        yield problem("certificate-key-expired", "", message, token=one)


def _runs(status: ClusterStatus) -> Iterator[Problem]:
    for one in status.runs:
        yield problem("run-interrupted" if one.kind == "interrupted" else "run-active", one.host, one.what)
