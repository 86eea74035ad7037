"""What will restart, in which order, on which hosts, and for how long. Pure; the order is `PHASES`.

Within each version on the way: etcd on hosts of its own, one member at a time; control planes, one at a time, the
kubelet last (it may be older than its API server, never newer); addons; then workers, group by group as cluster.yml
says it (`upgrade.groups`), one first and then a quarter of them at a time, so that what no kubelet starts with stops
one node and not all. It is the order of playbooks/upgrade.yml, and of apply.yml but for the groups; a test compares.
Source: kubernetes.io/docs/tasks/administer-cluster/kubeadm/kubeadm-upgrade, etcd.io/docs/v3.6/upgrades.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count, groupby
from typing import Final

from kubeforge.artifacts.model import Versions
from kubeforge.cluster.upgrade.durations import DURATIONS, IMPORT, PLANNING
from kubeforge.cluster.upgrade.model import AddonStep, Restart
from kubeforge.cluster.upgrade.runs import ADDON_VERSIONS, CONTAINERD, KUBELET, PLANE, Runs, wanted_on
from kubeforge.engine.playbook import Play, Pool, Portion
from kubeforge.manifests.etcd import ETCD

__all__ = ["PHASES", "Phase", "restarts", "seconds"]

_ADDONS: Final = "addons"
_EVERYWHERE: Final = ("kube-proxy", "flannel")  # DaemonSets on all nodes; others are Deployments, or on workers


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """One part of an upgrade.

    Args:
        role: of the hosts that have it; `addons`: none, the API server is told.
        components: that restart there, in order.
        serial: sizes of the batches of hosts; the last one repeats.
        by_group: whether the groups of cluster.yml come one after the other, each in its own batches.
        unless: hosts that also have this role have had their turn.
    """

    role: str
    components: tuple[str, ...]
    serial: tuple[Portion, ...] = (Portion(1),)
    by_group: bool = False
    unless: str = ""


PHASES: Final = (
    Phase(role="etcd", components=(ETCD,), unless="control-plane"),
    Phase(role="control-plane", components=(CONTAINERD, ETCD, *PLANE, KUBELET)),
    Phase(role=_ADDONS, components=tuple(ADDON_VERSIONS)),
    Phase(
        role="worker",
        components=(CONTAINERD, KUBELET),
        serial=(Portion(1), Portion(25, percent=True)),
        by_group=True,
        unless="control-plane",
    ),
)


def restarts(
    runs: Sequence[Runs], addons: Sequence[AddonStep], path: Sequence[Versions], pools: Sequence[Pool] = ()
) -> tuple[Restart, ...]:
    """Return everything that restarts, in order.

    Args:
        runs: what hosts run now; those of hosts that hosts.yml does not know are left alone.
        addons: what runs on the cluster.
        path: versions to go through.
        pools: groups of nodes, in order.
    """
    found: list[Restart] = []
    turns = count(1)
    hosts = list(runs)
    now = {one.name: one.now for one in addons}
    for versions in path:
        for phase in PHASES:
            if phase.role == _ADDONS:
                found += _of_addons(versions, now, hosts, turns)
                now |= {name: _addon_version(name, versions) for name in now}
            else:
                found += _of_hosts(phase, versions, hosts, turns, pools)
        hosts = [one.after(versions) for one in hosts]
    return tuple(found)


def seconds(found: Sequence[Restart], steps: int) -> float:
    """Return how long all of it takes: what has the same turn happens side by side.

    Args:
        found: in order.
        steps: versions on the way; each is planned, and brings its images.
    """
    turns = (max(one.seconds for one in same) for _, same in groupby(found, key=lambda one: one.turn))
    return sum(turns) + steps * (PLANNING.seconds + IMPORT.seconds)


def _of_hosts(
    phase: Phase, versions: Versions, hosts: Sequence[Runs], turns: Iterator[int], pools: Sequence[Pool]
) -> Iterator[Restart]:
    mine = [one for one in hosts if phase.role in one.roles and not (phase.unless and phase.unless in one.roles)]
    due = [one for one in mine if set(one.pending(versions)) & set(phase.components)]
    for batch in _batches(phase, due, mine, pools):
        for component in phase.components:
            changed = [one for one in batch if component in one.pending(versions)]
            if changed:
                then = wanted_on(changed[0].roles, versions)[component]
                was = {one.now[component] for one in changed}
                yield _restart(versions, next(turns), changed, component, now=_one(was), then=then)


def _batches(
    phase: Phase, due: Sequence[Runs], everyone: Sequence[Runs], pools: Sequence[Pool]
) -> Iterator[list[Runs]]:
    """Cut hosts as the engine cuts those of a play."""
    named = {one.host: one for one in due}
    play = Play(name=phase.role, hosts=phase.role, tasks=(), serial=phase.serial, by_group=phase.by_group)
    for batch in play.batches(list(named), everyone=[one.host for one in everyone], pools=pools):
        yield [named[host] for host in batch]


def _of_addons(
    versions: Versions, now: Mapping[str, str], hosts: Sequence[Runs], turns: Iterator[int]
) -> Iterator[Restart]:
    nodes = [one for one in hosts if {"control-plane", "worker"} & set(one.roles)]
    for name, version in now.items():
        then = _addon_version(name, versions)
        if then and then != version:
            where = nodes if name in _EVERYWHERE else []
            yield _restart(versions, next(turns), where, name, now=version, then=then)


def _addon_version(name: str, versions: Versions) -> str:
    field = ADDON_VERSIONS.get(name)
    return str(getattr(versions, field)) if field else ""


def _one(versions: set[str]) -> str:
    return versions.pop() if len(versions) == 1 else ""


def _restart(versions: Versions, turn: int, hosts: Sequence[Runs], what: str, *, now: str, then: str) -> Restart:
    duration = DURATIONS[what]
    return Restart(
        step=versions.kubernetes,
        turn=turn,
        hosts=tuple(one.host for one in hosts),
        what=what,
        now=now,
        then=then,
        seconds=duration.seconds,
        measured=duration.source,
    )
