"""A look at a cluster on one screen: what is wrong and what mends it first, then tables, then what is well in a line.

docs/status.md describes the same for programs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kubeforge.cluster.status.model import ClusterStatus, Verdict
from kubeforge.cluster.status.rows import Component, Etcd, Member, Node
from kubeforge.report.tables import NONE, add_row, in_plain_text, new_table, problem_lines, rendered
from kubeforge.report.words import counted, sized

__all__ = ["as_text", "print_status"]

_SHOWN: Final = 20
"""Nodes that text shows where it is not asked for all; those with problems always."""
_COMPONENTS: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


def as_text(status: ClusterStatus, *, everything: bool = False) -> str:
    """Return the status as plain text, without colour."""
    return in_plain_text(lambda console: print_status(status, console, everything=everything))


def print_status(status: ClusterStatus, console: Console, *, everything: bool = False) -> None:
    """Print the status, in colour where the console has any.

    Args:
        status: a look at the cluster.
        console: where to.
        everything: all nodes, every certificate and every version.
    """
    for line in _head(status):
        console.print(line, soft_wrap=True)
    hidden = len(status.nodes) - len(_shown(status, everything=everything))
    for number, table in enumerate(_tables(status, everything=everything)):
        console.print()
        for line in rendered(table, console):
            console.print(line, soft_wrap=True)
        if number == 0 and hidden:
            console.print(f"… and {hidden} of which nothing is to be said (-v shows them)", style="dim")
    console.print()
    for name, text in _lines(status):
        console.print(Text(f"{name:<13}", style="bold").append(text, style="not bold"), soft_wrap=True)


def _head(status: ClusterStatus) -> Iterator[Text]:
    yield _verdict(status)
    for problem in status.problems:
        yield from problem_lines(problem)


def _verdict(status: ClusterStatus) -> Text:
    version = f", Kubernetes v{status.kubernetes.version}" if status.kubernetes.version else ""
    name = f"Cluster {status.cluster}{version}: "
    match status.verdict:
        case Verdict.HEALTHY:
            return Text(f"{name}all is well", style="bold green")
        case Verdict.DEGRADED:
            return Text(f"{name}something is amiss", style="bold yellow")
        case Verdict.DOWN:
            return Text(f"{name}the API does not answer", style="bold red")
        case Verdict.UNREACHABLE:
            return Text(f"{name}no control plane can be entered", style="bold red")


def _tables(status: ClusterStatus, *, everything: bool) -> Iterator[Table]:
    yield _nodes(status, _shown(status, everything=everything))
    if status.components:
        yield _components(status.components)
    if status.etcd.members:
        yield _members(status.etcd)
    if everything:
        yield _certificates(status)
        yield _versions(status)


def _shown(status: ClusterStatus, *, everything: bool) -> Sequence[Node]:
    """Return all nodes, or of many those of which something is to be said."""
    told = {problem.where for problem in status.problems}
    few = everything or len(status.nodes) <= _SHOWN
    return status.nodes if few else [node for node in status.nodes if node.name in told or not node.in_inventory]


def _nodes(status: ClusterStatus, shown: Sequence[Node]) -> Table:
    table = new_table("NODE", "ROLES", "READY", "VERSION", "ADDRESS", "KUBELET", "NOTES")
    units = {host.name: host.kubelet if host.reachable else "unreachable" for host in status.hosts}
    meant = {host.name: host.roles for host in status.hosts}
    for node in shown:
        ready = {True: "yes", False: "no", None: "not a node" if node.registered is False else "?"}[node.ready]
        roles = ",".join(node.roles or (() if node.registered else meant.get(node.name, ()))) or "worker"
        cells = (node.name, roles, ready, node.version, node.address, units.get(node.name, ""), _notes(node))
        add_row(table, *cells, style="" if node.ready else "red")
    return table


def _notes(node: Node) -> str:
    notes = [*node.pressure]
    notes += ["cordoned"] if node.schedulable is False else []
    notes += [] if node.in_inventory else ["not in hosts.yml"]
    return ", ".join(notes)


def _components(components: Sequence[Component]) -> Table:
    table = new_table("CONTROL PLANE", *_COMPONENTS)
    for host in dict.fromkeys(one.host for one in components):
        known = {one.component: one for one in components if one.host == host}
        states = [_state(known[name]) if name in known else NONE for name in _COMPONENTS]
        add_row(table, host, *states, style="" if all(one.ready for one in known.values()) else "red")
    return table


def _state(component: Component) -> str:
    said = {True: "ready", False: "not ready", None: "?"}[component.ready]
    restarts = f", {counted(component.restarts, 'restart')}" if component.restarts else ""
    return said + (", leads" if component.leader else "") + restarts


def _members(etcd: Etcd) -> Table:
    table = new_table("ETCD", "STATE", "VERSION", "SIZE", "IN USE", "QUOTA", "LAG", "ALARMS")
    for one in etcd.members:
        sizes = [sized(size) for size in (one.size, one.in_use, one.quota)]
        lag = str(one.lag) if one.answers else ""
        cells = (one.host or one.id, _member_state(one), one.version, *sizes, lag, ",".join(one.alarms))
        add_row(table, *cells, style="red" if one.problem or one.alarms else "")
    return table


def _member_state(member: Member) -> str:
    if member.registered is False:
        return "no member"
    if member.answers is None:
        return "not asked" if member.in_inventory else "not in hosts.yml"
    state = "learner" if member.learner else "leader" if member.leader else "follower"
    return state if member.answers and not member.problem else "down" if not member.answers else "no leader"


def _certificates(status: ClusterStatus) -> Table:
    table = new_table("CERTIFICATE", "HOST", "DAYS LEFT", "EXPIRES", "FILE")
    for one in status.certificates:
        end = one.expires.strftime("%Y-%m-%d") if one.expires else ""
        days = str(one.days) if one.days is not None else "unreadable"
        add_row(table, one.name, one.host, days, end, one.path, style="red" if one.due or one.days is None else "")
    return table


def _versions(status: ClusterStatus) -> Table:
    table = new_table("COMPONENT", "VERSION", "HOSTS")
    for one in status.versions:
        add_row(table, one.component, one.version, ", ".join(one.hosts), style="red" if one.skew else "")
    return table


def _lines(status: ClusterStatus) -> Iterator[tuple[str, str]]:
    """Yield what is well, counted."""
    ways = status.endpoint.ways
    answering = sum(way.answers for way in ways)
    endpoint = f"{status.endpoint.kind} {status.endpoint.address}"
    yield "endpoint", f"{endpoint}: answers on {answering} of {counted(len(ways), 'node')}" if ways else endpoint
    if status.dns:
        yield "dns", f"answers on {sum(one.answers for one in status.dns)} of {counted(len(status.dns), 'node')}"
    if status.addons:
        yield "addons", ", ".join(_addon(one.name, one.ready, one.desired) for one in status.addons)
    yield "certificates", _ends(status)
    kinds = dict.fromkeys(one.component for one in status.versions)
    found = {kind: sorted({one.version for one in status.versions if one.component == kind}) for kind in kinds}
    if found:
        yield "versions", ", ".join(f"{kind} {'/'.join(versions)}" for kind, versions in found.items())


def _addon(name: str, ready: int | None, desired: int | None) -> str:
    return f"{name} {ready}/{desired}" if desired is not None else name


def _ends(status: ClusterStatus) -> str:
    """Say which certificate and which authority end first."""
    said = []
    for authority, what in ((False, "the first to end"), (True, "of authorities")):
        first = next((one for one in status.certificates if one.authority is authority and one.days is not None), None)
        if first is not None and first.days is not None:
            said.append(f"{what} is {first.name} on {first.host}, in {counted(first.days, 'day')}")
    return "; ".join(said) or "none could be read"
