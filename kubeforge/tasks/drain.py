"""Nodes are cordoned, drained and uncordoned through the API; their hosts are not asked, so they may be dead.

A drain that is given up (deadline, Ctrl-C, a pod it must not touch) puts the node back as it was. Who cordoned a node
is written on the Node (`cluster.cordon`): a run that was killed is gone on with, and a person's own cordon stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from kubeforge.cluster.access import api_of
from kubeforge.cluster.api import Api
from kubeforge.cluster.cordon import cordon as cordon_node
from kubeforge.cluster.cordon import cordoned_by, is_cordoned, node_of
from kubeforge.cluster.cordon import uncordon as uncordon_node
from kubeforge.cluster.draining import DrainOptions, Fate, Pod, Sorted, read_pods
from kubeforge.cluster.evicting import evict_all
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import ApiUnavailable, InputError, KubeforgeError, Problem, UnfitHost
from kubeforge.operations.model import Change, Verb
from kubeforge.spec.durations import parse_duration
from kubeforge.tasks.registry import task

__all__ = ["NODES", "Cordon", "Drain", "Uncordon", "cordon", "drain", "nodes_of", "options_of", "uncordon"]

NODES: Final = "nodes"
"""Variable that names the nodes that a verb is about, by commas; else a task is about its own host's."""
_TRUE: Final = ("1", "true", "yes", "on")
_FALSE: Final = ("0", "false", "no", "off")


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
    return tuple(dict.fromkeys(word.strip() for word in str(named).split(",") if word.strip()))


def options_of(variables: Mapping[str, Any]) -> DrainOptions:
    """Return what variables say about draining: `drain_grace` and `drain_deadline` (seconds, or like `5m`),
    `drain_delete_local_storage`, `drain_force`.

    Raises:
        InputError: some cannot be read; all of them.
    """
    raise NotImplementedError


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
        """Look whether it is cordoned."""
        raise NotImplementedError

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Cordon it."""
        raise NotImplementedError


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain(Action):
    """A node is cordoned, and the pods that can run elsewhere have left it; else it is as it was.

    Args:
        node: its name; its host need not be in the inventory, nor alive (see `DrainOptions.dead`).
        options: how.
        lasting: a person wants it cordoned afterwards: no run of ours takes that back.
    """

    node: str
    options: DrainOptions = DrainOptions()
    lasting: bool = False

    @property
    def title(self) -> str:
        """Names the node."""
        return f"drain {self.node}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """List the cordon and each pod that goes.

        Raises:
            UnfitHost: some pods must not be evicted; each is named with the reason, and what would be evicted, too.
            ApiError: the cluster has no such node.
        """
        raise NotImplementedError

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Cordon, evict, wait; put the node back where that fails.

        Raises:
            UnfitHost: pods came that must not be evicted.
            DeadlineExceeded: pods are left; each is named with what keeps it: the budget with its numbers, finalizers.
            Interrupted: Ctrl-C.
        """
        raise NotImplementedError


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
        """Look whether it is cordoned, or will be by this run."""
        raise NotImplementedError

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Uncordon it."""
        raise NotImplementedError
