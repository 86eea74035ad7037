"""Puts together what an upgrade would meet and do, out of what was seen. Pure: a Question in, an UpgradePlan out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kubeforge.artifacts.availability import Availability
from kubeforge.cluster.status.model import Problem
from kubeforge.cluster.upgrade.health import judge_health
from kubeforge.cluster.upgrade.model import AddonStep, Choice, Done, HostStep, Restart, Step, UpgradePlan
from kubeforge.cluster.upgrade.obstacles import obstacle, without
from kubeforge.cluster.upgrade.restarts import restarts, seconds
from kubeforge.cluster.upgrade.room import judge_room, needs
from kubeforge.cluster.upgrade.runs import ADDON_VERSIONS, FOREIGN, KUBELET, Runs, comparable, versions_of
from kubeforge.cluster.upgrade.seen import Seen
from kubeforge.cluster.upgrade.settings import judge_apis, judge_settings
from kubeforge.cluster.upgrade.supply import ImageAnswer, judge_supply
from kubeforge.cluster.upgrade.versions import judge_versions
from kubeforge.engine.pools import pools_of
from kubeforge.manifests.control_plane import API_SERVER
from kubeforge.spec.releases import MINORS, minor_of, parse, release
from kubeforge.spec.upgrade_path import Path, path

if TYPE_CHECKING:
    from kubeforge.inventory.model import Inventory
    from kubeforge.spec.model import ClusterSpec

__all__ = ["Question", "choose", "judge", "unknowable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """All that an answer is made from.

    Args:
        spec: as cluster.yml says it.
        inventory: the hosts.
        seen: the cluster.
        runs: what hosts run.
        now: oldest version that an API server runs; empty: not known.
        offered: versions that the source of parts has, the oldest first.
        availability: version -> architecture -> what the source has of it.
        images: version -> what registries say of the images that nodes pull.
        refused: version -> component -> its binary's words against its arguments; those that could be asked.
        ignored: kinds of problems that shall not stand in the way.
    """

    spec: ClusterSpec
    inventory: Inventory
    seen: Seen
    runs: tuple[Runs, ...]
    now: str
    offered: tuple[str, ...]
    availability: Callable[[str], Mapping[str, Availability]]
    images: Callable[[str], Sequence[ImageAnswer]] = lambda _: ()
    refused: Callable[[str], Mapping[str, tuple[str, ...]]] = lambda _: {}
    ignored: Collection[str] = ()


def choose(asked: Question, choices: Sequence[str]) -> tuple[UpgradePlan, tuple[Choice, ...]]:
    """Return the plan for the version that is meant where none is named, and all choices.

    That is the one that an upgrade has begun to, or that cluster.yml names, where something is older; else the newest
    that nothing stands in the way of; else the nearest.

    Args:
        asked: the question.
        choices: versions that the cluster could go to, the nearest first.
    """
    plans = {version: judge(asked, version) for version in choices}
    listed = tuple(
        Choice(
            kubernetes=version,
            steps=tuple(step.kubernetes for step in plan.path),
            blocked=len(plan.blockers),
            end_of_life=release(version).end_of_life,
        )
        for version, plan in plans.items()
    )
    meant = _meant(asked, plans)
    return plans[meant] if meant in plans else judge(asked, meant), listed


def judge(asked: Question, wanted: str) -> UpgradePlan:
    """Return what an upgrade to a version would meet and do.

    Args:
        asked: the question.
        wanted: the version, of a minor that kubeforge knows.
    """
    way = _way(asked, wanted)
    parts = {step: asked.availability(step) for step in way.steps}
    by_arch = _by_arch(parts)
    steps = tuple(_step(step, parts[step]) for step in way.steps)
    addons = _addons(asked, wanted)
    moves = restarts(
        asked.runs, addons, [versions_of(step) for step in way.steps], pools_of(asked.spec, asked.inventory)
    )
    took = seconds(moves, len(steps)) if moves else 0.0
    room = needs(asked.runs, asked.seen.hosts, by_arch, ingress=asked.spec.addons.ingress is not None)
    hosts = tuple(_host(one, wanted) for one in asked.runs)
    begun = list(_half_done(hosts, wanted))
    images = [answer for step in way.steps for answer in asked.images(step)]
    found = [
        *_way_problems(asked, way),
        *judge_health(asked.seen, seconds=took),
        *judge_versions(asked.runs, addons, asked.now, wanted, way.steps, today=asked.seen.status.asked.date()),
        *judge_settings(
            asked.spec, asked.inventory, asked.seen.hosts, {step: asked.refused(step) for step in way.steps}
        ),
        *judge_apis(asked.seen.kubernetes, asked.now, wanted),
        *judge_supply(by_arch, images, asked.offered),
        *judge_room(room, asked.seen.hosts),
        *_pauses(asked.runs, moves),
        *begun,
    ]
    return UpgradePlan(
        cluster=asked.spec.name,
        asked=asked.seen.status.asked,
        now=asked.now,
        wanted=wanted,
        half_done=bool(begun),
        path=steps,
        hosts=hosts,
        addons=addons,
        restarts=moves,
        seconds=took,
        room=room,
        problems=without(found, asked.ignored),
    )


def _way(asked: Question, wanted: str) -> Path:
    """Return the way; where API servers are there already and others are not, its last step."""
    if not comparable(asked.now):
        return Path(steps=(wanted,), problem="")
    servers = [one.now[API_SERVER] for one in asked.runs if comparable(one.now.get(API_SERVER, ""))]
    way = path(asked.now, wanted, asked.offered, servers)
    if way.problem or way.steps:
        return way
    then = versions_of(wanted)
    due = any(one.pending(then) for one in asked.runs if FOREIGN not in one.roles)
    due = due or any(one.now and one.now != one.then for one in _addons(asked, wanted) if one.then)
    return Path(steps=(wanted,)) if due else way


def _meant(asked: Question, plans: Mapping[str, UpgradePlan]) -> str:
    named = asked.spec.kubernetes
    ours = [one.now for one in asked.runs if FOREIGN not in one.roles]
    told = [now.get(name, "") for now in ours for name in (API_SERVER, KUBELET)]
    known = [version for version in told if comparable(version) and minor_of(version) in MINORS]
    newest = max((*known, named), key=parse)
    if any(parse(version) < parse(newest) for version in known):
        return newest
    free = [version for version, plan in plans.items() if not plan.blockers]
    return free[-1] if free else next(iter(plans), named)


def _way_problems(asked: Question, way: Path) -> Iterator[Problem]:
    if way.problem and not way.back:  # that is told host by host
        yield obstacle("no-way", "", way.problem)
    recorded = asked.seen.kubernetes.recorded
    servers = {one.now.get(API_SERVER) for one in asked.runs}
    if recorded and recorded not in {*servers, *way.steps}:
        yield obstacle("recorded-differs", "", f"kubeadm's ConfigMap says {recorded}, and no API server runs that")
    if not asked.now:
        yield obstacle("unknown-version", "", "no API server and no kubelet tells its version")


def _step(version: str, parts: Mapping[str, Availability]) -> Step:
    row = versions_of(version)
    named = {name: getattr(row, name) for name in ("etcd", "containerd", "runc", "cni_plugins", "coredns")}
    return Step(kubernetes=version, source=", ".join(dict.fromkeys(p.source for p in parts.values())), versions=named)


def _by_arch(parts: Mapping[str, Mapping[str, Availability]]) -> dict[str, list[Availability]]:
    found: dict[str, list[Availability]] = {}
    for each in parts.values():
        for arch, one in each.items():
            found.setdefault(arch, []).append(one)
    return found


def _addons(asked: Question, wanted: str) -> tuple[AddonStep, ...]:
    then = versions_of(wanted)
    return tuple(
        AddonStep(
            name=one.name,
            now=one.version,
            then=str(getattr(then, ADDON_VERSIONS[one.name])) if one.name in ADDON_VERSIONS else "",
        )
        for one in asked.seen.status.addons
    )


def _host(one: Runs, wanted: str) -> HostStep:
    then = versions_of(wanted)
    done, pending = one.done(then), one.pending(then)
    if FOREIGN in one.roles:
        done, pending = (Done.YES if set(one.now.values()) == {wanted} else Done.NO), ()
    return HostStep(host=one.host, roles=one.roles, done=done, now=one.now, pending=pending)


def _pauses(runs: Sequence[Runs], moves: Sequence[Restart]) -> Iterator[Problem]:
    """With one control plane there is no API while its API server, or its etcd, restarts."""
    servers = [one for one in runs if API_SERVER in one.now]
    away = [one.seconds for one in moves if one.what in (API_SERVER, "etcd")]
    if len(servers) == 1 and away:
        times = "once" if len(away) == 1 else f"in {len(away)} pieces"
        message = f"has the only API server: about {sum(away):.0f} s without an API, {times}"
        yield obstacle("api-pauses", servers[0].host, message)


def _half_done(hosts: Sequence[HostStep], wanted: str) -> Iterator[Problem]:
    """Tell who is done, where some Kubernetes runs the wanted version and some an older one."""
    ours = [one for one in hosts if FOREIGN not in one.roles]
    there = {one.host: [name for name, version in one.now.items() if version == wanted] for one in ours}
    if not any(there.values()) or all(one.done in (Done.YES, Done.UNKNOWN) for one in ours):
        return
    if not any(_is_behind(one, wanted) for one in ours):
        return
    told = [f"{one.host} ({', '.join(there[one.host])})" if one.done is Done.PARTLY else one.host
            for one in ours if there[one.host]]  # fmt: skip
    missing = [one.host for one in ours if _is_behind(one, wanted)]
    message = f"to {wanted} came already: {', '.join(told)}; still to come: {', '.join(missing)}"
    yield obstacle("half-done", "", message)


def _is_behind(one: HostStep, wanted: str) -> bool:
    """Whether Kubernetes itself is older there; other parts may be for other reasons."""
    names = [name for name in one.now if name.startswith("kube")]
    return any(comparable(one.now[name]) and parse(one.now[name]) < parse(wanted) for name in names)


def unknowable(asked: Question, wanted: str) -> UpgradePlan:
    """Return the plan where no control plane can be entered: only what `status` says."""
    found = judge_health(asked.seen, seconds=0.0)
    return replace(
        UpgradePlan(cluster=asked.spec.name, asked=asked.seen.status.asked, now="", wanted=wanted),
        problems=without(found, asked.ignored),
        entered=False,
    )
