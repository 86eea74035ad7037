"""Nodes are cordoned, drained and uncordoned through the API; their hosts are not asked, so they may be dead.

A drain that is given up (deadline, Ctrl-C, a pod it must not touch) puts the node back as it was. Who cordoned a node
is written on the Node (`cluster.cordon`): a run that was killed is gone on with, and a person's own cordon stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

from kubeforge.cluster.access import api_of
from kubeforge.cluster.api import Api
from kubeforge.cluster.conditions import Condition, until
from kubeforge.cluster.cordon import cordon as cordon_node
from kubeforge.cluster.cordon import cordoned_by, is_cordoned, node_of
from kubeforge.cluster.cordon import uncordon as uncordon_node
from kubeforge.cluster.draining import DrainOptions, Fate, Pod, Sorted, read_pods
from kubeforge.cluster.evicting import evict_all
from kubeforge.cluster.kinds import Obj, is_ready
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import KubeforgeError, UnfitHost
from kubeforge.inventory.model import Inventory
from kubeforge.operations.model import Change, Verb
from kubeforge.spec.paths import API_DEADLINE
from kubeforge.tasks.drain_options import options_of
from kubeforge.tasks.registry import task

__all__ = ["NODES", "Cordon", "Drain", "Uncordon", "answered", "cordon", "drain", "nodes_of", "uncordon"]

NODES: Final = "nodes"
"""Variable that names the nodes (or groups) that a verb is about, by commas; else a task is about its own host's."""
_SILENT: Final = "is not Ready: nobody will say that its pods have ended"
_LIVES: Final = "is Ready, as the cluster sees it: on a host that lives, pods would go on and have doubles elsewhere"
_ROUNDS: Final = 2  # what was bound in the moment of the cordon goes with the second; what comes later tolerates it
T = TypeVar("T")


@task("nodes.cordon")
def cordon(context: Context) -> Iterator[Action]:
    """Let no new pods come to the node; it stays so until a person takes it back."""
    yield from (Cordon(node=node, lasting=True) for node in nodes_of(context))


@task("nodes.drain")
def drain(context: Context) -> Iterator[Action]:
    """Cordon the node and evict its pods; nothing of that stays where it cannot be done wholly."""
    options, lasting = options_of(context.vars), NODES in context.vars
    yield from (Drain(node=node, options=options, lasting=lasting) for node in nodes_of(context))


@task("nodes.uncordon")
def uncordon(context: Context) -> Iterator[Action]:
    """Let new pods come to the node again; in a playbook over hosts only where kubeforge cordoned it."""
    yield from (Uncordon(node=node, foreign=NODES in context.vars) for node in nodes_of(context))


def nodes_of(context: Context) -> tuple[str, ...]:
    """Return the nodes that a task is about: those that the variable names, else its own host's if it is a node."""
    named = context.vars.get(NODES)
    if named is None:
        return (context.host.name,) if context.host.is_node else ()
    words = (word.strip() for word in str(named).split(",") if word.strip())
    return tuple(dict.fromkeys(node for word in words for node in _meant(context.inventory, word)))


def _meant(inventory: Inventory, word: str) -> tuple[str, ...]:
    """Return the nodes of a group of the inventory; any other word is a node's name, of whatever host."""
    if word in inventory.hosts or word not in inventory.groups:
        return (word,)
    return tuple(host.name for host in inventory.group(word) if host.is_node)


def answered(run: ActionContext, ask: Callable[[], T], *, step: str) -> T:
    """Return what the API answers; a server that goes or comes just now is waited for.

    Raises:
        DeadlineExceeded: no API server answers.
        Interrupted: Ctrl-C.
    """
    return _answered(ask, step=step, host=run.context.host.name, checkpoint=run.checkpoint)


def _answered(ask: Callable[[], T], *, step: str, host: str, checkpoint: Callable[[], None] = lambda: None) -> T:
    told: list[T] = []

    def lacks() -> None:
        told.append(ask())

    condition = Condition(
        name="the API answers", lacks=lacks, deadline=API_DEADLINE, remedy="kubeforge status shows the control plane"
    )
    until(condition, step=step, host=host, checkpoint=checkpoint)
    return told[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cordon(Action):
    """No new pods come to a node.

    Args:
        node: its name; its host need not be in the inventory.
        lasting: a person wants it: no run of ours takes it back. Else `Uncordon` does, of this run or a later one.
    """

    node: str
    lasting: bool = False

    @property
    def title(self) -> str:
        """Names the node."""
        return f"cordon {self.node}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Look whether it is cordoned.

        Raises:
            ApiError: the cluster has no such node, or does not answer.
        """
        return _cordons(node_of(api_of(run), self.node), lasting=self.lasting)

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Cordon it."""
        api, mark = api_of(run), None if self.lasting else run.run_id
        done = answered(run, lambda: cordon_node(api, self.node, run_id=mark), step=self.title)
        return [_cordoned(self.node, "no new pods come to it")] if done else []


def _cordons(node: Obj, *, lasting: bool) -> list[Change]:
    name = node["metadata"]["name"]
    if not is_cordoned(node):
        return [_cordoned(name, "no new pods come to it" + ("" if lasting else " until this run is through with it"))]
    mark = cordoned_by(node)
    return [_cordoned(name, f"run {mark} did that for a while; now it stays so")] if lasting and mark else []


def _cordoned(name: str, why: str) -> Change:
    return Change(title=f"cordon {name}", verb=Verb.UPDATE, why=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain(Action):
    """A node is cordoned, and the pods that can run elsewhere have left it; else it is as it was.

    Args:
        node: its name; its host need not be in the inventory, nor alive (see `DrainOptions.dead`).
        options: how.
        lasting: a person wants it cordoned afterwards: no run of ours takes that back.
    """

    node: str
    options: DrainOptions = field(default_factory=DrainOptions)
    lasting: bool = False

    @property
    def title(self) -> str:
        """Names the node."""
        return f"drain {self.node}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """List the cordon and each pod that goes.

        Raises:
            UnfitHost: some pods must not be evicted; each is named with the reason, and what would be evicted, too.
            ApiError: the cluster has no such node, or does not answer.
        """
        api = api_of(run)
        node, found = node_of(api, self.node), read_pods(api, self.node, self.options)
        self._refuse(run, found, "nothing was done")
        if found.going and is_ready(node) == self.options.dead:
            run.remark(f"node {self.node} {_LIVES if self.options.dead else _SILENT}")
        if found.going and run.pending:
            run.say(f"pods that come to {self.node} until its turn is there go as well")
        return [*_cordons(node, lasting=self.lasting), *(_goes(pod) for pod in found.going)]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Cordon, evict, wait; put the node back where that fails.

        Raises:
            UnfitHost: pods came that must not be evicted.
            DeadlineExceeded: pods are left; each is named with what keeps it: the budget with its numbers, finalizers.
            Interrupted: Ctrl-C.
        """
        api, done = api_of(run), False
        before = answered(run, lambda: node_of(api, self.node), step=self.title)
        self._refuse(run, self._found(run, api), "nothing was done")
        try:
            answered(run, lambda: cordon_node(api, self.node, run_id=run.run_id), step=self.title)
            gone = self._emptied(run, api)
            if self.lasting:
                answered(run, lambda: cordon_node(api, self.node, run_id=None), step=self.title)
            done = True
        finally:
            if not done:
                self._put_back(run, api)
        return [*_cordons(before, lasting=self.lasting), *(_goes(pod) for pod in gone)]

    def _emptied(self, run: ActionContext, api: Api) -> list[Pod]:
        gone: list[Pod] = []
        end = time.monotonic() + self.options.deadline
        for _ in range(_ROUNDS):
            found = self._found(run, api)
            self._refuse(run, found, "the node is put back as it was")
            if not found.going:
                return gone
            gone += evict_all(
                api,
                self.node,
                found.going,
                replace(self.options, deadline=max(0.0, end - time.monotonic())),
                step=self.title,
                host=run.context.host.name,
                say=run.say,
                checkpoint=run.checkpoint,
            )
        for pod in self._found(run, api).going:
            run.remark(f"pod {pod} has come although the node is cordoned: it tolerates that, and stays")
        return gone

    def _found(self, run: ActionContext, api: Api) -> Sorted:
        return answered(run, lambda: read_pods(api, self.node, self.options), step=self.title)

    def _refuse(self, run: ActionContext, found: Sorted, state: str) -> None:
        if not found.refused:
            return
        going = ", ".join(map(str, found.of(Fate.EVICT)))
        raise UnfitHost(
            f"node {self.node} has pods that a drain must not touch ({len(found.refused)}); {state}",
            host=run.context.host.name,
            step=self.title,
            evidence=[*map(_told, found.refused), f"the others would be evicted: {going or 'there are none'}"],
            remedy="; ".join(dict.fromkeys(pod.remedy for pod in found.refused)),
        )

    def _put_back(self, run: ActionContext, api: Api) -> None:
        """Uncordon it unless a person has cordoned it; Ctrl-C, which may have led here, does not stop that."""
        try:
            back = _answered(
                lambda: uncordon_node(api, self.node, foreign=False), step=self.title, host=run.context.host.name
            )
        except KubeforgeError as error:
            run.remark(f"node {self.node} stays cordoned: {error.cause}; kubeforge uncordon {self.node}")
            return
        if back:
            run.say(f"the drain is given up: node {self.node} is uncordoned again")


def _goes(pod: Pod) -> Change:
    busy = [str(one) for one in pod.budgets if not one.allowed]
    why = f"{pod.why}; waits for {busy[0]}" if busy and pod.fate is Fate.EVICT else pod.why
    return Change(title=f"pod {pod}", verb=Verb.REMOVE, why=why)


def _told(pod: Pod) -> str:
    return f"{pod}: {pod.why}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Uncordon(Action):
    """New pods come to a node again.

    Args:
        node: its name.
        foreign: also where a person cordoned it, not a run of ours.
    """

    node: str
    foreign: bool = False

    @property
    def title(self) -> str:
        """Names the node."""
        return f"uncordon {self.node}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Look whether it is cordoned, or will be by this run.

        Raises:
            ApiError: the cluster has no such node, or does not answer.
        """
        if f"cordon {self.node}" in run.expected.changed:
            return [self._change("when it is Ready again")]
        node = node_of(api_of(run), self.node)
        mark = cordoned_by(node)
        if mark is None and not (self.foreign and is_cordoned(node)):
            return []
        return [self._change(f"was cordoned by run {mark}" if mark else "was cordoned by a person")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Uncordon it."""
        api = api_of(run)
        done = answered(run, lambda: uncordon_node(api, self.node, foreign=self.foreign), step=self.title)
        return [self._change("new pods come to it again")] if done else []

    def _change(self, why: str) -> Change:
        return Change(title=self.title, verb=Verb.UPDATE, why=why)
