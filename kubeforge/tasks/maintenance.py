"""Rolling work: kubelet or container runtime restarted, a command run; each host must serve before the next one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from kubeforge.cluster.access import api_of
from kubeforge.cluster.boots import heartbeat
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.evidence import kubelet_log, unit_log
from kubeforge.cluster.processes import lacks_containerd, lacks_kubelet
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import InputError, OperationFailed, Problem
from kubeforge.manifests.kubelet import cluster_configuration
from kubeforge.operations.model import Change, Queries, Verb
from kubeforge.spec.paths import COMPONENT_DEADLINE
from kubeforge.tasks.drain import Drain, answered
from kubeforge.tasks.drain_options import options_of
from kubeforge.tasks.host_back import back, heartbeats, spared
from kubeforge.tasks.registry import task
from kubeforge.tasks.variables import flag, span

__all__ = [
    "AROUND",
    "COMMAND",
    "UNIT",
    "UNITS",
    "WITHIN",
    "Commanded",
    "Restarted",
    "command",
    "drain",
    "gate",
    "restart",
    "serves",
]

UNIT: Final = "restart_unit"
"""Variable: which unit is restarted."""
UNITS: Final = {"kubelet": "kubelet.service", "containerd": "containerd.service"}
"""What may be restarted; containers go on meanwhile, as each has a process of its own that minds it."""
COMMAND: Final = "exec_command"
"""Variable: the command line, for POSIX sh."""
WITHIN: Final = "exec_within"
"""Variable: how long it may take."""
AROUND: Final = "exec_drain"
"""Variable: whether pods leave a node before the command runs there; no unless it says yes."""
_LONGEST: Final = 600.0
_SHOWN: Final = 200  # lines of a command's output that are told
_TAIL: Final = 20
_CRASHES: Final = 2  # starts by systemd alone since ours: one may be bad luck


@task("maintenance.gate")
def gate(context: Context) -> Iterator[Action]:
    """Wait until the cluster can do without this host's etcd member and API server."""
    asked = spared(context, "maintenance.gate")
    if asked is not None:
        yield asked


@task("maintenance.restart")
def restart(context: Context) -> Iterator[Action]:
    """Restart the kubelet or the container runtime; containers go on."""
    name = str(context.vars.get(UNIT, ""))
    if name not in UNITS:
        raise InputError([Problem(message=f"`{name}` is none of {', '.join(UNITS)}", field=UNIT)])
    if context.host.is_node:
        port = int(cluster_configuration(context.cluster)["healthzPort"]) if name == "kubelet" else 0
        yield Restarted(name=name, health_port=port)


@task("maintenance.drain")
def drain(context: Context) -> Iterator[Action]:
    """Let the pods leave the node first, where that is asked for."""
    if context.host.is_node and flag(context.vars, AROUND, default=False):
        yield Drain(node=context.host.name, options=options_of(context.vars))


@task("maintenance.command")
def command(context: Context) -> Iterator[Action]:
    """Run a command as root; one that fails stops the run."""
    line = str(context.vars.get(COMMAND, "")).strip()
    if not line:
        raise InputError([Problem(message="there is no command to run", field=COMMAND)])
    yield Commanded(line=line, within=span(context.vars, WITHIN, _LONGEST))


@task("maintenance.serves")
def serves(context: Context) -> Iterator[Action]:
    """Wait until the host does its part in the cluster, before the next one is touched."""
    if context.host in context.inventory.cluster:
        yield back(context)


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarted(Action):
    """A unit was restarted, and runs.

    Args:
        name: of UNITS.
        health_port: where it says that it lives; 0: nowhere.
    """

    name: str
    health_port: int = 0

    @property
    def title(self) -> str:
        """Names the unit."""
        return f"restart {self.name}"

    def plan(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - it is asked for
        """It always restarts."""
        return [self._change()]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Restart it and wait until it runs; `serves` asks for the rest.

        Raises:
            OperationFailed: systemd refuses, or it ends again and again.
            DeadlineExceeded: it does not come back.
        """
        unit, node = UNITS[self.name], run.context.host.name
        live = answered(run, lambda: api_of(run).get("v1", "Node", node), step=self.title)
        if self.name == "kubelet":  # the runtime's restart does not make the kubelet report
            heartbeats(run.context)[node] = heartbeat(live)
        run.remote.run(["systemctl", "restart", unit], deadline=COMPONENT_DEADLINE)
        condition = Condition(
            name=f"{self.name} runs again",
            lacks=partial(self._lacks, run, unit),
            deadline=COMPONENT_DEADLINE,
            evidence=lambda: [*unit_log(run.remote, unit), *kubelet_log(run.remote, lines=_TAIL)],
        )
        await_condition(condition, run, step=self.title)
        return [self._change()]

    def _lacks(self, run: ActionContext, unit: str) -> str | None:
        remote = run.remote
        if int(remote.run(["systemctl", "show", "-P", "NRestarts", unit]).stdout.strip() or 0) >= _CRASHES:
            raise OperationFailed(
                f"{self.name} ends as soon as it is started; no further host was begun",
                host=run.context.host.name,
                step=self.title,
                evidence=unit_log(remote, unit),
                remedy=f"mend what it says (journalctl -u {self.name} on the host), then run the same command again",
            )
        seen = remote.observe(Queries(units=(unit,))).units[unit]
        if seen.active != "active":
            return f"systemd says of {unit}: {seen.active}"
        if self.name == "kubelet":
            return lacks_kubelet(remote, self.health_port)
        return lacks_containerd(remote)

    def _change(self) -> Change:
        return Change(title=f"unit {UNITS[self.name]}", verb=Verb.RESTART, why="is asked for; containers go on")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commanded(Action):
    """A command ran to its end, with status 0.

    Args:
        line: for POSIX sh; it is shown in plans and journals, so never a secret.
        within: seconds.
    """

    line: str
    within: float = _LONGEST

    @property
    def title(self) -> str:
        """Names it."""
        return "command"

    def plan(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - it is asked for
        """What it would do nobody knows but who gave it."""
        return [self._change("is asked for; what it changes is not known")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Run it, and tell what it printed.

        Raises:
            OperationFailed: its exit status is not 0.
            DeadlineExceeded: it did not end in time; it may go on there.
        """
        run.checkpoint()
        done = run.remote.run(["sh", "-c", self.line], deadline=self.within, expect=range(256))
        lines = (done.stdout + done.stderr).decode("utf-8", "replace").splitlines()
        for line in lines[:_SHOWN]:
            run.say(line)
        if len(lines) > _SHOWN:
            run.say(f"({len(lines) - _SHOWN} more lines)")
        if done.status:
            raise OperationFailed(
                f"ended with status {done.status}; no further host was begun",
                host=run.context.host.name,
                step=self.title,
                evidence=lines[-_TAIL:],
                remedy="a node that was drained for it stays cordoned: kubeforge uncordon gives it back",
            )
        return [self._change(lines[-1][:_SHOWN] if lines else "ended with status 0, and said nothing")]

    def _change(self, why: str) -> Change:
        return Change(title=f"command {self.line}", verb=Verb.RUN, why=why, every_run=True)
