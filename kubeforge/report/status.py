"""A look at a cluster as text: what is amiss first in the eye, the rest in a few quiet lines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from kubeforge.cluster.status import ClusterStatus, NodeStatus
from kubeforge.report.words import counted

__all__ = ["as_text", "print_status"]

_SOON_DAYS = 30


def as_text(status: ClusterStatus, name: str) -> str:
    """Return the status as plain text, without colour."""
    return "\n".join(line.plain for line in _lines(status, name)) + "\n"


def print_status(status: ClusterStatus, name: str, console: Console) -> None:
    """Print the status, in colour where the console has any.

    Args:
        status: a look at the cluster.
        name: the cluster's.
        console: where to.
    """
    for line in _lines(status, name):
        console.print(line, soft_wrap=True)


def _lines(status: ClusterStatus, name: str) -> Iterator[Text]:
    yield _verdict(status, name)
    for host, why in status.unreachable.items():
        yield _line("host", host, f"cannot be asked: {why}", good=False)
    width = max((len(node.name) for node in status.nodes), default=0)
    for node in status.nodes:
        well = bool(node.ready) and not node.problem
        yield _line("node", f"{node.name:<{width}}  {_about(node)}", node.problem, good=well)
    for member in status.etcd:
        if member.problem:
            yield _line("etcd", member.host, member.problem, good=False)
    for component in status.components:
        if not component.ready:
            yield _line("pod", f"{component.component} on {component.host}", "is not ready", good=False)
    yield from _quiet(status)


def _verdict(status: ClusterStatus, name: str) -> Text:
    if not status.api:
        return Text(f"Cluster {name}: no API answers: {status.problem}", style="bold red")
    if not status.good:
        return Text(f"Cluster {name}, Kubernetes {status.api}: something is amiss", style="bold yellow")
    return Text(f"Cluster {name}, Kubernetes {status.api}: all is well", style="bold green")


def _line(kind: str, what: str, problem: str, *, good: bool) -> Text:
    line = Text("  ")
    line.append("ok  " if good else "!!  ", style="green" if good else "bold red")
    line.append(f"{kind} {what}".rstrip())
    if problem:
        line.append(f"  {problem.splitlines()[0]}", style="" if good else "red")
    return line


def _about(node: NodeStatus) -> str:
    roles = ",".join(node.roles) or ("worker" if node.version else "")
    return "  ".join(part for part in (roles, node.version, node.address) if part)


def _quiet(status: ClusterStatus) -> Iterator[Text]:
    """Yield what is well, counted, and when the first certificate ends."""
    well = sum(not member.problem for member in status.etcd)
    if status.etcd:
        yield Text(f"  etcd members: {well} of {len(status.etcd)} healthy", style="dim")
    versions = Counter((component.component, component.version) for component in status.components if component.ready)
    for (component, version), count in sorted(versions.items()):
        yield Text(f"  {component} {version}: {count} ready", style="dim")
    if status.certificates:
        first = status.certificates[0]
        soon = first.days < _SOON_DAYS
        yield Text(
            f"  certificates: the first to end is {first.name} on {first.host}, in {counted(first.days, 'day')}",
            style="yellow" if soon else "dim",
        )
