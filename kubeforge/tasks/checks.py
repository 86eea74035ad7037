"""Gates at the end of a run: the cluster's own checks, asked of every node until they pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.checks.cluster import dns as dns_check
from kubeforge.checks.cluster import endpoint as endpoint_check
from kubeforge.checks.cluster import ingress as ingress_check
from kubeforge.checks.cluster import service as service_check
from kubeforge.checks.model import PATIENCE, Check
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.evidence import kubelet_log, pod_log, unit_log
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.inventory.model import CONTROL_PLANE, WORKERS
from kubeforge.manifests.control_plane import API_SERVER
from kubeforge.operations.model import Change, Verb
from kubeforge.spec.addresses import endpoint_kind, has_own_address, inner_endpoint, local_api
from kubeforge.spec.model import EndpointKind
from kubeforge.spec.nodes import runs_workloads
from kubeforge.spec.paths import CHECK_DEADLINE, ENDPOINT_DEADLINE, HAPROXY_UNIT
from kubeforge.tasks.registry import task
from kubeforge.tasks.rolling import restarted

__all__ = ["Gate", "dns", "endpoint", "ingress", "service"]

_POLL: Final = 1.2  # seconds before a new attempt takes the place of one without an answer


@task("checks.endpoint")
def endpoint(context: Context) -> Iterator[Action]:
    """The API answers this node at the cluster's endpoint: without it no worker joins, and no pod network comes up."""
    spec, inventory = context.cluster, context.inventory
    if context.host in inventory.workers or (
        context.host in inventory.control_planes and has_own_address(spec, inventory)
    ):
        balancer = HAPROXY_UNIT.rpartition("/")[2]
        yield Gate(
            check=endpoint_check(spec, inventory),
            units=(balancer,),
            deadline=ENDPOINT_DEADLINE,
            remedy=_remedy(context),
        )


def _remedy(context: Context) -> str | None:
    """Say what somebody else's balancer has to do; ours is for its own words to explain."""
    spec, inventory = context.cluster, context.inventory
    if endpoint_kind(spec, inventory) is not EndpointKind.EXTERNAL:
        return None
    backends = ", ".join(map(local_api, inventory.control_planes))
    asked = inner_endpoint(spec, inventory)
    return f"have the balancer at {asked} pass TCP on to {backends} (endpoint in cluster.yml), then apply again"


@task("checks.service")
def service(context: Context) -> Iterator[Action]:
    """The API's own Service answers from this node: kube-proxy works here."""
    if context.host.groups & {CONTROL_PLANE, WORKERS}:
        yield Gate(check=service_check(context.cluster), logs=("kube-system_kube-proxy-",))


@task("checks.dns")
def dns(context: Context) -> Iterator[Action]:
    """Cluster DNS answers from this node: the pod network reaches CoreDNS."""
    if context.host.groups & {CONTROL_PLANE, WORKERS}:
        logs = ("kube-system_coredns-", "kube-flannel_kube-flannel-", "kube-system_kube-proxy-")
        yield Gate(check=dns_check(context.cluster), logs=logs)


@task("checks.ingress")
def ingress(context: Context) -> Iterator[Action]:
    """The ingress controller answers on this worker's own ports."""
    wanted = context.cluster.addons.ingress
    if wanted is not None and runs_workloads(context.cluster, context.inventory, context.host):
        check = ingress_check(context.host.address, wanted.http_port)
        yield Gate(check=check, logs=("traefik_", "kube-system_traefik-"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate(Action):
    """A check that must pass before the run ends well.

    Args:
        check: the question.
        logs: prefixes of pods' log folders that explain why it does not pass.
        units: whose last words do, where the host has them.
        deadline: seconds.
        remedy: what to do when it did not pass; None: what the evidence says.
    """

    check: Check
    logs: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
    deadline: float = CHECK_DEADLINE
    remedy: str | None = None

    @property
    def title(self) -> str:
        """Names the check."""
        return f"checks.{self.check.name}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Ask now, where nothing changes before; else it will be asked then.

        An API server that restarts leaves its own Service for a moment, and every node has to learn that it is back.
        """
        after = run.expected.changed or API_SERVER in restarted(run.context)
        why = "after the changes above" if after else self.check.ask(run.remote, PATIENCE)
        return [] if why is None else [Change(title=self.title, verb=Verb.RUN, why=f"wait: {why}")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Ask until it passes."""
        condition = Condition(
            name=self.check.asks,
            lacks=lambda: self.check.ask(run.remote, _POLL),
            deadline=self.deadline,
            evidence=lambda: self._words(run),
            remedy=self.remedy,
        )
        await_condition(condition, run, step=self.title)
        return [Change(title=self.title, verb=Verb.RUN, why=self.check.asks)]

    def _words(self, run: ActionContext) -> list[str]:
        logs = [line for prefix in self.logs for line in pod_log(run.remote, prefix)]
        units = [line for unit in self.units for line in unit_log(run.remote, unit)]
        return [*units, *logs, *kubelet_log(run.remote)]
