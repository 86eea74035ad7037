"""May these versions become those? Every rule about versions, over every step on the way. Pure.

Sources: kubernetes.io/releases/version-skew-policy (kubelet and kube-proxy up to three minors behind the API server,
controllers one, API servers of one cluster one apart), etcd.io/docs/v3.6/upgrades and v3.7's (one minor at a time, from
the patch it names); see `spec.skew`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from typing import Final

from kubeforge.cluster.status.model import Problem
from kubeforge.cluster.upgrade.model import AddonStep
from kubeforge.cluster.upgrade.obstacles import obstacle
from kubeforge.cluster.upgrade.runs import FOREIGN, KUBELET, PLANE, Runs, comparable, versions_of
from kubeforge.manifests.control_plane import API_SERVER
from kubeforge.manifests.etcd import ETCD
from kubeforge.spec.releases import minor_of, parse, release
from kubeforge.spec.skew import ETCD_SAFE_BEFORE, etcd_upgrade_problem, skew_problem

__all__ = ["judge_versions"]

_KUBERNETES: Final = (*PLANE, KUBELET)


def judge_versions(
    runs: Sequence[Runs], addons: Sequence[AddonStep], now: str, wanted: str, steps: Sequence[str], *, today: date
) -> Iterator[Problem]:
    """Say what speaks against going from one version to another.

    Args:
        runs: what hosts run.
        addons: what runs on the cluster.
        now: oldest version that an API server runs.
        wanted: where to.
        steps: versions on the way, the wanted one last; empty where there is no way.
        today: for ends of life.
    """
    yield from _unknown(runs)
    yield from _newer(runs, wanted)
    yield from _mixed(runs, wanted)
    yield from _beside(runs, now)
    yield from _behind(runs, steps)
    yield from _members(runs, steps)
    yield from _support(wanted, today)
    yield from _addons(addons, wanted)


def _unknown(runs: Sequence[Runs]) -> Iterator[Problem]:
    for one in runs:
        told = [f"{name} {version}".strip() for name, version in one.now.items() if name in (*_KUBERNETES, ETCD)
                and not comparable(version)]  # fmt: skip
        if told:
            yield obstacle("unknown-version", one.host, f"no version is known of {', '.join(told)}")


def _newer(runs: Sequence[Runs], wanted: str) -> Iterator[Problem]:
    """Nothing goes back: neither what an upgrade brought, nor what somebody else put there."""
    for one in runs:
        newer = [(name, version) for name, version in _known(one) if parse(version) > parse(wanted)]
        if newer:
            latest = max((version for _, version in newer), key=parse)
            told = ", ".join(f"{name} {version}" for name, version in newer)
            message = f"runs {told}; {wanted} is older, and Kubernetes does not go back"
            yield obstacle("downgrade", one.host, message, now=latest)


def _mixed(runs: Sequence[Runs], wanted: str) -> Iterator[Problem]:
    """API servers of several versions: an upgrade to `wanted` that is under way, or one that somebody left."""
    servers = {one.host: one.now[API_SERVER] for one in runs if comparable(one.now.get(API_SERVER, ""))}
    found = sorted(set(servers.values()), key=parse)
    if len(found) < 2:
        return
    told = "; ".join(f"{version} on {_hosts(servers, version)}" for version in found)
    apart = parse(found[-1])[1] - parse(found[0])[1]
    if apart > 1:
        mend = f"bring those of {found[0]} to 1.{parse(found[0])[1] + 1} by hand, as they were made, or replace them"
        message = f"API servers are {apart} minors apart ({told}); at most one may be"
        yield obstacle("skew", "", message, mend=mend)
    elif found[-1] != wanted:
        yield obstacle("versions-mixed", "", f"API servers are of several versions: {told}")


def _hosts(servers: dict[str, str], version: str) -> str:
    return ", ".join(host for host, found in servers.items() if found == version)


def _beside(runs: Sequence[Runs], now: str) -> Iterator[Problem]:
    """What stands beside the oldest API server now, before anything is changed; older ones are judged by step."""
    if not comparable(now):
        return
    for one in runs:
        own = one.now.get(API_SERVER, "")
        server = own if comparable(own) else now  # on control planes all ask the API server beside them
        for name, version in _known(one):
            problem = None if name == API_SERVER else skew_problem(name, version, server)
            if problem is not None and parse(version) > parse(server):
                yield obstacle("skew-now", one.host, problem)


def _behind(runs: Sequence[Runs], steps: Sequence[str]) -> Iterator[Problem]:
    """Who would be too old for the API servers of a step: ours follow at each step, others stay as they are."""
    for one in runs:
        ours = FOREIGN not in one.roles
        for step in steps[:1] if ours else steps:
            told = [problem for name, version in _known(one)
                    if (problem := skew_problem(name, version, step)) is not None
                    and parse(version) < parse(step)]  # fmt: skip
            if told:
                mend = _MEND_OURS.format(step=step, host=one.host) if ours else _MEND_FOREIGN
                yield obstacle("skew", one.host, f"at {step}: {'; '.join(told)}", mend=mend)
                break


_MEND_OURS: Final = "kubeforge apply --limit {host} brings it to the cluster's present version; then go to {step}"
_MEND_FOREIGN: Final = "take it into hosts.yml, upgrade it as it was made, or remove it: it is left as it is"


def _members(runs: Sequence[Runs], steps: Sequence[str]) -> Iterator[Problem]:
    """Every member goes through the etcd of every step."""
    for one in runs:
        at = one.now.get(ETCD, "")
        for step in steps if comparable(at) else ():
            then = versions_of(step).etcd
            problem = etcd_upgrade_problem(at, then)
            if problem is not None:
                first = ETCD_SAFE_BEFORE.get(minor_of(then), f"the newest patch of {minor_of(at)}")
                mend = f"kubeforge upgrade apply to a patch of the present minor ({release(step).minor} comes after)"
                yield obstacle("etcd-step", one.host, f"at {step}: {problem}", first=first, mend=mend)
                break
            at = then


def _support(wanted: str, today: date) -> Iterator[Problem]:
    row = release(wanted)
    if parse(wanted) > parse(row.kubernetes):
        message = f"{wanted} is newer than {row.kubernetes}, the newest this kubeforge was made with"
        yield obstacle("version-not-known", wanted, message, newest=row.kubernetes)
    if row.end_of_life <= today.isoformat():
        yield obstacle("end-of-life", wanted, f"upstream mends nothing of {row.minor} since {row.end_of_life}")


def _addons(addons: Sequence[AddonStep], wanted: str) -> Iterator[Problem]:
    for one in addons:
        known = comparable(one.now) and comparable(one.then) and one.name != "kube-proxy"
        if known and parse(one.now) > parse(one.then):
            message = f"{one.now} runs, and {one.then} goes with Kubernetes {wanted}"
            yield obstacle("addon-goes-back", one.name, message, then=one.then)
        if one.name == "kube-proxy" and comparable(one.now) and parse(one.now) > parse(wanted):
            yield obstacle("downgrade", one.name, f"{one.now} runs, and {wanted} is older", now=one.now)


def _known(one: Runs) -> Iterator[tuple[str, str]]:
    """Yield Kubernetes' own components of a host whose version can be compared."""
    for name in _KUBERNETES:
        if comparable(one.now.get(name, "")):
            yield name, one.now[name]
