"""What an upgrade would meet and do, on one screen: what stands in the way first, then who is where, then the order."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from rich.console import Console
from rich.table import Table
from rich.text import Text

from kubeforge.cluster.upgrade.model import Choice, Done, HostStep, Need, Restart, Step, UpgradePlan, Verdict
from kubeforge.report.tables import NONE, add_row, in_plain_text, new_table, problem_lines, rendered
from kubeforge.report.words import counted, hosts_named, span

__all__ = ["as_text", "print_plan"]

T = TypeVar("T")
_SHOWN: Final = 20
"""Hosts and restarts that text shows where it is not asked for all."""
_MEBI: Final = 1 << 20
_PLANE: Final = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")
_SHORT: Final = {
    "kube-apiserver": "api-server",
    "kube-controller-manager": "controllers",
    "kube-scheduler": "scheduler",
}


def as_text(plan: UpgradePlan, *, everything: bool = False) -> str:
    """Return the plan as plain text, without colour."""
    return in_plain_text(lambda console: print_plan(plan, console, everything=everything))


def print_plan(plan: UpgradePlan, console: Console, *, everything: bool = False) -> None:
    """Print the plan, in colour where the console has any.

    Args:
        plan: what an upgrade would meet and do.
        console: where to.
        everything: all hosts and all restarts.
    """
    for line in _head(plan):
        console.print(line, soft_wrap=True)
    for table, hidden in _tables(plan, everything=everything):
        console.print()
        for line in rendered(table, console):
            console.print(line, soft_wrap=True)
        if hidden:
            console.print(f"… and {hidden} more (-v shows them)", style="dim")
    for line in _last(plan):
        console.print(line, soft_wrap=True)


def _head(plan: UpgradePlan) -> Iterator[Text]:
    yield _verdict(plan)
    for problem in plan.problems:
        yield from problem_lines(problem)


def _verdict(plan: UpgradePlan) -> Text:
    way = f"from Kubernetes v{plan.now} to v{plan.wanted}" if plan.now else f"to Kubernetes v{plan.wanted}"
    half = ", which has begun" if plan.half_done else ""
    name = f"Cluster {plan.cluster}, {way}{half}: "
    match plan.verdict:
        case Verdict.CAN_GO:
            return Text(f"{name}it can go", style="bold green")
        case Verdict.NOTHING:
            return Text(f"Cluster {plan.cluster} runs Kubernetes v{plan.wanted}: nothing to do", style="bold green")
        case Verdict.BLOCKED:
            count = counted(len(plan.blockers), "problem")
            return Text(f"{name}{count} in the way; nothing was changed", style="bold red")
        case Verdict.UNREACHABLE:
            return Text(f"{name}no control plane can be entered", style="bold red")


def _tables(plan: UpgradePlan, *, everything: bool) -> Iterator[tuple[Table, int]]:
    """Yield each table, and how many of its lines were left out."""
    if plan.choices:
        yield _choices(plan.choices), 0
    if plan.path:
        yield _steps(plan.path), 0
    if plan.hosts:
        shown = _some(_hosts_first(plan.hosts), everything=everything)
        yield _hosts(shown), len(plan.hosts) - len(shown)
    if plan.addons:
        table = new_table("ADDON", "NOW", "THEN")
        for one in plan.addons:
            add_row(table, one.name, one.now, one.then or one.now)
        yield table, 0
    if plan.room:
        needs = _some(sorted(plan.room, key=lambda one: one.free - one.needed), everything=everything)
        yield _room(needs), len(plan.room) - len(needs)
    if plan.restarts:
        restarts = plan.restarts if everything else plan.restarts[:_SHOWN]
        yield _restarts(restarts), len(plan.restarts) - len(restarts)


def _some(rows: Sequence[T], *, everything: bool) -> Sequence[T]:
    return rows if everything else rows[:_SHOWN]


def _hosts_first(hosts: Sequence[HostStep]) -> list[HostStep]:
    """Return the hosts, those that are half-way first where there are too many to be shown."""
    order = (Done.PARTLY, Done.UNKNOWN, Done.NO, Done.YES)
    return list(hosts) if len(hosts) <= _SHOWN else sorted(hosts, key=lambda one: order.index(one.done))


def _choices(choices: Sequence[Choice]) -> Table:
    table = new_table("COULD GO TO", "BY WAY OF", "IN THE WAY", "SUPPORTED UNTIL")
    for one in choices:
        way = ", ".join(one.steps[:-1])
        blocked = counted(one.blocked, "problem") if one.blocked else ""
        add_row(table, one.kubernetes, way, blocked, one.end_of_life, style="red" if one.blocked else "")
    return table


def _steps(path: Sequence[Step]) -> Table:
    names = list(path[0].versions)
    table = new_table("STEP", *(name.upper().replace("_", " ") for name in names), "PARTS FROM")
    for one in path:
        add_row(table, one.kubernetes, *(one.versions[name] for name in names), one.source)
    return table


def _hosts(hosts: Sequence[HostStep]) -> Table:
    table = new_table("HOST", "ROLES", "DONE", "KUBELET", "CONTROL PLANE", "ETCD", "CONTAINERD", "RUNC", "CNI")
    styles = {Done.YES: "green", Done.PARTLY: "yellow", Done.UNKNOWN: "red"}
    for one in hosts:
        said = [one.now.get(name, "") for name in ("etcd", "containerd", "runc", "cni")]
        cells = (one.host, ",".join(one.roles), str(one.done), one.now.get("kubelet", ""), _plane(one), *said)
        add_row(table, *cells, style=styles.get(one.done, ""))
    return table


def _plane(host: HostStep) -> str:
    """Return the version of a control plane's components; where they differ, each one's."""
    found = {name: host.now[name] for name in _PLANE if name in host.now}
    if len(set(found.values())) <= 1:
        return next(iter(found.values()), "")
    return ", ".join(f"{_SHORT[name]} {version or NONE}" for name, version in found.items())


def _room(needs: Sequence[Need]) -> Table:
    table = new_table("ROOM ON", "FILE SYSTEM", "NEW PARTS", "FREE")
    for one in needs:
        about = "about " if one.estimated and one.needed else ""
        needed = f"{about}{one.needed // _MEBI} MiB"
        style = "red" if one.needed > one.free else ""
        add_row(table, one.host, one.mount, needed, f"{one.free // _MEBI} MiB", style=style)
    return table


def _restarts(restarts: Sequence[Restart]) -> Table:
    table = new_table("TURN", "STEP", "RESTARTS", "ON", "FROM", "TO", "AWAY")
    for one in restarts:
        where = hosts_named(one.hosts, len(one.hosts)) if one.hosts else "the cluster"
        away = f"about {one.seconds:.1f} s{'' if one.measured else ' (a guess)'}"
        add_row(table, str(one.turn), one.step, one.what, where, one.now, one.then, away)
    return table


def _last(plan: UpgradePlan) -> Iterator[Text]:
    if not plan.restarts:
        return
    yield Text("")
    told = f"about {span(plan.seconds)} in all, by figures of small clusters; drains and uploads come on top"
    yield Text("time         ", style="bold").append(told, style="not bold")
    yield Text("before       ", style="bold").append(
        "parts and images are on every node before anything stops", style="not bold"
    )
