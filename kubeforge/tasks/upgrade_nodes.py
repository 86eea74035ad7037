"""What an upgrade does with a node before its kubelet changes: may its group spare it, do its pods leave it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.access import api_of
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.cordon import is_cordoned
from kubeforge.cluster.evidence import kubelet_log
from kubeforge.cluster.kinds import Obj, is_ready
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.engine.playbook import Portion
from kubeforge.engine.pools import group_of
from kubeforge.errors import ApiUnavailable
from kubeforge.inventory.model import Host, Inventory
from kubeforge.operations.model import Change, Queries, Verb
from kubeforge.spec.nodes import runs_workloads
from kubeforge.spec.paths import BIN, GATE_DEADLINE, NODE_DEADLINE
from kubeforge.spec.releases import minor_of
from kubeforge.tasks import living
from kubeforge.tasks.drain import Drain, Uncordon
from kubeforge.tasks.drain_options import options_of
from kubeforge.tasks.parts import is_another
from kubeforge.tasks.registry import task
from kubeforge.tasks.variables import flag

__all__ = [
    "DRAIN",
    "DrainFirst",
    "GroupSpares",
    "Released",
    "Reported",
    "drain",
    "drains",
    "release",
    "reported",
    "spare",
]

DRAIN: Final = "upgrade_drain"
"""Variable: `yes` or `no`, over what cluster.yml says."""

_PROGRAMS: Final = ("kubelet", "containerd")


def _reads(inventory: Inventory, host: Host) -> Queries:
    own = Queries(stats=tuple(f"{BIN}/{name}" for name in _PROGRAMS))
    return Queries.merge((living.reads(inventory, host), own))


@task("upgrade.spare", reads=_reads)
def spare(context: Context, *, needs_api: bool = True) -> Iterator[Action]:
    """Wait until the node's group can spare it, where cluster.yml says how many may be away at a time.

    Args:
        context: of the node.
        needs_api: otherwise it is left out where no API answers.
    """
    found = group_of(context.cluster, context.inventory, context.host)
    if found is None or found[1].max_unavailable is None or not _changes(context, *_PROGRAMS):
        return
    name, group = found
    nodes = tuple(one for one in context.inventory.groups[name] if context.inventory.hosts[one].is_node)
    most = Portion.of(str(group.max_unavailable)).size(len(nodes))
    wanted = context.cluster.kubernetes
    yield GroupSpares(group=name, nodes=nodes, most=most, wanted=wanted, needs_api=needs_api)


@task("upgrade.drain", reads=_reads)
def drain(context: Context, *, needs_api: bool = True) -> Iterator[Action]:
    """Let the pods leave a node whose kubelet changes; one that has changed already is left alone.

    Args:
        context: of the node.
        needs_api: otherwise it is left out where no API answers.
    """
    if not context.host.is_node or not _changes(context, "kubelet") or not living.node_lives(context):
        return
    wish = drains(context)
    if wish is not False and _has_elsewhere(context):
        first = Drain(node=context.host.name, options=options_of(context.vars))
        yield DrainFirst(drain=first, wanted=context.cluster.kubernetes, always=wish is True, needs_api=needs_api)


@task("upgrade.reported")
def reported(context: Context) -> Iterator[Action]:
    """Wait until a node's kubelet has told the cluster its new version: a second or more after it serves."""
    if context.host.is_node:
        yield Reported(node=context.host.name, wanted=context.cluster.kubernetes)


@task("upgrade.release")
def release(context: Context, *, needs_api: bool = True) -> Iterator[Action]:
    """Let new pods come to a node again that this upgrade has cordoned, in this run or in one that was cut off.

    Args:
        context: of the node.
        needs_api: otherwise it is left out where no API answers.
    """
    if context.host.is_node:
        yield Released(uncordon=Uncordon(node=context.host.name), needs_api=needs_api)


def drains(context: Context) -> bool | None:
    """Return whether a node is drained: as the command line says, its group, cluster.yml; None: at another minor."""
    if DRAIN in context.vars:
        return flag(context.vars, DRAIN, default=True)
    found = group_of(context.cluster, context.inventory, context.host)
    own = None if found is None else found[1].drain
    return context.cluster.upgrade.drain if own is None else own


def _changes(context: Context, *names: str) -> bool:
    """Whether a node gets another version of one of these programs."""
    return any(is_another(context, name) for name in names)


def _has_elsewhere(context: Context) -> bool:
    """Whether pods run here, and could run on another node."""
    spec, inventory = context.cluster, context.inventory
    nodes = [host for host in inventory.cluster if runs_workloads(spec, inventory, host)]
    return context.host in nodes and len(nodes) > 1


def _is_silent(run: ActionContext) -> bool:
    try:
        api_of(run).get("v1", "Node", run.context.host.name)
    except ApiUnavailable:
        return True
    return False


def _unknown(title: str, why: str) -> Sequence[Change]:
    return [Change(title=title, verb=Verb.UPDATE, why=why)]


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainFirst(Action):
    """A node whose kubelet changes is drained, if it goes to another minor or somebody wants it.

    Args:
        drain: how.
        wanted: version that its kubelet gets.
        always: also where the minor stays.
        needs_api: otherwise it is not due where no API answers.
    """

    drain: Drain
    wanted: str
    always: bool
    needs_api: bool = True

    @property
    def title(self) -> str:
        """The drain's own."""
        return self.drain.title

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """List the pods that go; where no API answers now, say so."""
        try:
            return self.drain.plan(run) if self._is_due(run) else []
        except ApiUnavailable as error:
            return _unknown(self.title, f"its pods are not known yet: {error.cause}") if self.needs_api else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Drain it."""
        return self.drain.run(run) if self._is_due(run) else []

    def _is_due(self, run: ActionContext) -> bool:
        if self.always:
            return True
        node = api_of(run).get("v1", "Node", self.drain.node)
        return node is not None and minor_of(_kubelet(node)) != minor_of(self.wanted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Released(Action):
    """A node that was cordoned for its upgrade takes pods again.

    Args:
        uncordon: how.
        needs_api: otherwise it is not due where no API answers.
    """

    uncordon: Uncordon
    needs_api: bool = True

    @property
    def title(self) -> str:
        """The uncordoning's own."""
        return self.uncordon.title

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Look whether it is due; where no API answers now, it is asked when the node's turn has come."""
        try:
            return self.uncordon.plan(run)
        except ApiUnavailable as error:
            return _unknown(self.title, f"if it is cordoned: not known: {error.cause}") if self.needs_api else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Uncordon it."""
        return self.uncordon.run(run)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported(Action):
    """What the cluster knows of a node is from the kubelet that runs there now.

    Args:
        node: its name.
        wanted: version of its kubelet.
    """

    node: str
    wanted: str

    @property
    def title(self) -> str:
        """Names the node."""
        return f"report of {self.node}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Look whether it is another version's; where no API answers now, it is asked when the node's turn has come."""
        try:
            why = self._lacks(run)
        except ApiUnavailable as error:
            why = f"not known: {error.cause}"
        return [self._change(f"wait for {self.wanted}: {why}")] if why else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Wait for it.

        Raises:
            DeadlineExceeded: the kubelet serves and tells the API nothing.
        """
        condition = Condition(
            name=f"{self.node} is known to run {self.wanted}",
            lacks=lambda: self._lacks(run),
            deadline=NODE_DEADLINE,
            evidence=lambda: kubelet_log(run.remote),
        )
        await_condition(condition, run, step=self.title)
        return [self._change(f"its kubelet is {self.wanted}")]

    def _lacks(self, run: ActionContext) -> str | None:
        node = api_of(run).get("v1", "Node", self.node)
        if node is None:
            return "the node is not registered"
        return None if _kubelet(node) == self.wanted else f"its kubelet is still {_kubelet(node)}"

    def _change(self, why: str) -> Change:
        return Change(title=self.title, verb=Verb.RUN, why=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupSpares(Action):
    """No more of a group's nodes are away than may be, with this one.

    Args:
        group: its name.
        nodes: of the group.
        most: how many may be away, this one among them.
        wanted: version that kubelets get.
        needs_api: otherwise it is not due where no API answers.
    """

    group: str
    nodes: tuple[str, ...]
    most: int
    wanted: str
    needs_api: bool = True

    @property
    def title(self) -> str:
        """Names the group."""
        return f"group {self.group}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Its task gives it only where the node changes; it is asked when the node has its turn."""
        if not self.needs_api and _is_silent(run):
            return []
        return [self._change(f"wait until no more than {self.most - 1} others are away")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Wait for it.

        Raises:
            DeadlineExceeded: too many are cordoned or not Ready; they are named.
        """
        condition = Condition(
            name=f"{self.group} can spare {run.context.host.name}",
            lacks=lambda: self._lacks(run),
            deadline=GATE_DEADLINE,
            remedy="nothing was changed here; bring those nodes back (kubeforge status), then run again",
        )
        await_condition(condition, run, step=self.title)
        return [self._change(f"no more than {self.most} are away")]

    def _lacks(self, run: ActionContext) -> str | None:
        vault, me = run.context.vault, run.context.host.name
        lock = vault.once("upgrade.group.lock", threading.Lock)
        nodes = {node["metadata"]["name"]: node for node in api_of(run).objects("v1", "Node")}
        with lock:  # the others of this batch ask in the same moment
            begun: set[str] = vault.once(("upgrade.group.begun", self.group), set[str])
            away = {
                name: why
                for name in self.nodes
                if name != me and (why := self._away(nodes.get(name), begun=name in begun)) is not None
            }
            if len(away) < self.most:
                begun.add(me)
                return None
        told = ", ".join(f"{name} {why}" for name, why in away.items())
        return f"{len(away)} of {self.group} are away, {self.most} may be with this one: {told}"

    def _away(self, node: Obj | None, *, begun: bool) -> str | None:
        if node is None:
            return "is not registered"
        if is_cordoned(node):
            return "is cordoned"
        if not is_ready(node):
            return "is not Ready"
        return "is being upgraded" if begun and _kubelet(node) != self.wanted else None

    def _change(self, why: str) -> Change:
        return Change(title=self.title, verb=Verb.RUN, why=why)


def _kubelet(node: Obj) -> str:
    version: str = node["status"]["nodeInfo"]["kubeletVersion"]
    return version.removeprefix("v")
