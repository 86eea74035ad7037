"""Flags, feature gates and fields that a version on the way does not take; APIs it does not serve. Pure.

What cluster.yml says is judged by the very rules that `validate` has, once for each version on the way. What a
component is started with beside that was put there by somebody else, and goes when kubeforge writes its manifest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from kubeforge.cluster.status.model import Problem
from kubeforge.cluster.upgrade.obstacles import obstacle
from kubeforge.cluster.upgrade.runs import comparable
from kubeforge.cluster.upgrade.seen import Arguments, HostSeen, KubernetesSeen
from kubeforge.spec.component_flags import known
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.releases import minor_of, parse
from kubeforge.spec.validate import validate

if TYPE_CHECKING:
    from kubeforge.inventory.model import Inventory

__all__ = ["judge_apis", "judge_settings"]

_COMPONENTS: Final = ("api_server", "controller_manager", "scheduler", "kubelet", "etcd")


def judge_settings(
    spec: ClusterSpec,
    inventory: Inventory,
    hosts: Mapping[str, HostSeen],
    refused: Mapping[str, Mapping[str, tuple[str, ...]]],
) -> Iterator[Problem]:
    """Say what cluster.yml and people have set that a step does not take.

    Args:
        spec: as cluster.yml says it.
        inventory: the hosts.
        hosts: what they are started with.
        refused: versions on the way -> component -> its binary's words against its arguments; those that were asked.
    """
    told: set[str] = set()
    steps = list(refused)
    for step in steps:
        found = validate(spec.model_copy(update={"kubernetes": step}), inventory)
        for one in found:
            text = f"at {step}: {one.message}"
            if not one.warning and one.message not in told:
                told.add(one.message)
                yield obstacle("spec-refused", one.field or "cluster.yml", text, step=step)
    yield from _lost(spec, hosts, steps)
    for step, answers in refused.items():
        for component, words in answers.items():
            if words:
                message = f"the binary of {step} does not take its arguments: {'; '.join(words)}"
                yield obstacle("arguments-refused", component, message, step=step)
    lacking = [step for step in steps if any(known(name, step) is None for name in _COMPONENTS)]
    for step in (step for step in lacking if not refused[step]):
        yield obstacle("flags-not-known", step, "kubeforge has no table of all its components' flags")


def judge_apis(kubernetes: KubernetesSeen, now: str, wanted: str) -> Iterator[Problem]:
    """Say which API versions that go are in use.

    Args:
        kubernetes: what the API says.
        now: oldest version that an API server runs.
        wanted: where to.
    """
    for used in kubernetes.requested:
        if _goes(used.removed, now, wanted):
            servers = ", ".join(used.hosts)
            message = f"is not served from {used.removed} on, and API servers of {servers} were asked for it"
            yield obstacle("api-requested", f"{used.resource} of {used.api_version}", message)
    for written in kubernetes.written:
        if _goes(written.removed, now, wanted):
            left = written.count - len(written.objects)
            named = f"{', '.join(written.objects)}{f' and {left} more' if left > 0 else ''}"
            message = f"is not served from {written.removed} on, and last wrote {named}"
            where, managers = f"{written.resource} of {written.api_version}", ", ".join(written.managers)
            yield obstacle("api-written", where, message, managers=managers)
    for budget in kubernetes.budgets:
        message = f"allows no eviction: {budget.healthy} of its pods are healthy, {budget.desired} must be"
        yield obstacle("eviction-blocked", f"PodDisruptionBudget {budget.namespace}/{budget.name}", message)


def _goes(removed: str, now: str, wanted: str) -> bool:
    """Whether a minor on the way is the first that serves it no more; of one that is gone already nobody is served."""
    if not (comparable(removed) and comparable(now) and comparable(wanted)):
        return False
    return parse(now)[:2] < parse(removed)[:2] <= parse(wanted)[:2]


def _lost(spec: ClusterSpec, hosts: Mapping[str, HostSeen], steps: Sequence[str]) -> Iterator[Problem]:
    """Yield what runs, is not in cluster.yml, and is not known to the last step: hosts with the same are told once."""
    if not steps:
        return
    where: dict[tuple[str, str], list[str]] = {}
    for host in hosts.values():
        for component, arguments in host.arguments.items():
            for text in _foreign(spec, component, arguments, steps[-1]):
                where.setdefault((component, text), []).append(host.name)
    for (component, text), names in where.items():
        message = f"{component} is started with {text}, which {minor_of(steps[-1])} does not have"
        yield obstacle("flag-lost", ", ".join(names), message)


def _foreign(spec: ClusterSpec, component: str, arguments: Arguments, step: str) -> Iterator[str]:
    table = known(component, step)
    if table is None:
        return
    own = getattr(spec, component)
    yield from (f"--{flag}" for flag in sorted(arguments.flags - table.flags - set(own.extra_args)))
    yield from (f"feature gate {gate}" for gate in sorted(arguments.gates - table.gates - set(own.feature_gates)))
