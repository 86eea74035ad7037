"""What was put back runs and answers, or the run ends with its last words. Registers no task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from kubeforge.cluster.access import api_of
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.evidence import component_log, kubelet_log
from kubeforge.cluster.intake import lacks_intake
from kubeforge.cluster.processes import lacks_command, lacks_kubelet, processes
from kubeforge.cluster.static_pods import lacks_answer
from kubeforge.documents import Object, load
from kubeforge.engine.model import Action, ActionContext
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.model import Change, Verb
from kubeforge.spec.paths import COMPONENT_DEADLINE, RUN_NOTE
from kubeforge.tasks.kubelet_waked import Waked
from kubeforge.tasks.last_good import forget
from kubeforge.tasks.living import KUBELET
from kubeforge.tasks.rolling import restarted

__all__ = ["KubeletServes", "PodServes"]

_REMEDY: Final = "mend the cause, then kubeforge upgrade rollback again: it goes on from here"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodServes(Action):
    """A static pod runs with the manifest that was put back, and answers.

    Args:
        component: its name.
        server: the API server beside it that is put back later, and without which it has nothing to say: while that
            does not answer, it is enough that it runs.
        clients: components that were put back before it in that way, and have to answer now.
    """

    component: str
    server: Object | None = None
    clients: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """Names the pod."""
        return f"pod {self.component}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Due where its manifest is put back."""
        if f"restore {manifest_path(self.component)}" not in run.expected.changed:
            return []
        restarted(run.context).add(self.component)
        return [self._change()]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Wait for it.

        Raises:
            DeadlineExceeded: it does not serve; carries its last lines.
        """
        pod = _manifest(run, self.component)
        waked = Waked(run, pod, note=RUN_NOTE)
        self._await(run, self.component, lambda: waked.seen(self._lacks(run, pod)))
        for name in self.clients:
            client = _manifest(run, name)
            self._await(run, name, partial(lacks_answer, run.remote, client, address=run.context.host.address))
        forget(run, self.component)
        return [self._change()]

    def _await(self, run: ActionContext, name: str, lacks: Callable[[], str | None]) -> None:
        condition = Condition(
            name=f"{name} serves as before",
            lacks=lacks,
            deadline=COMPONENT_DEADLINE,
            evidence=lambda: component_log(run.remote, name),
            remedy=_REMEDY,
        )
        await_condition(condition, run, step=self.title)

    def _lacks(self, run: ActionContext, pod: Object) -> str | None:
        command: list[str] = pod["spec"]["containers"][0]["command"]
        answer = partial(lacks_answer, run.remote, address=run.context.host.address)
        # The manifest came back with its old time; the note tells when that was.
        lacks = lacks_command(run.remote, command, files=[RUN_NOTE])
        if lacks is not None:
            return lacks
        lacks = answer(pod)
        mute = lacks is not None and self.server is not None and answer(self.server) is not None
        return None if mute else lacks

    def _change(self) -> Change:
        return Change(title=self.title, verb=Verb.RESTART, why="it runs again as before the upgrade")


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletServes(Action):
    """The kubelet runs with what was put back, is healthy, and follows what is changed next.

    Args:
        titles: of the operations that put it back.
        health_port: where it says that it lives; 0: nowhere.
        node: its name, where static pods follow; empty: none do.
    """

    titles: tuple[str, ...]
    health_port: int
    node: str = ""

    @property
    def title(self) -> str:
        """Names it."""
        return "kubelet.serves"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Due where anything of it is put back."""
        return [self._change()] if set(self.titles) & run.expected.changed else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Wait for it.

        Raises:
            DeadlineExceeded: it does not serve; carries its last lines.
        """
        condition = Condition(
            name="the kubelet serves as before",
            lacks=lambda: self._lacks(run),
            deadline=COMPONENT_DEADLINE,
            evidence=lambda: kubelet_log(run.remote),
            remedy=_REMEDY,
        )
        await_condition(condition, run, step=self.title)
        forget(run, KUBELET)
        return [self._change()]

    def _lacks(self, run: ActionContext) -> str | None:
        if not processes(run.remote, KUBELET):
            return "the kubelet does not run"
        lacks = lacks_kubelet(run.remote, self.health_port)
        return lacks or (lacks_intake(api_of(run), self.node) if self.node else None)

    def _change(self) -> Change:
        return Change(title=self.title, verb=Verb.RESTART, why="it runs again as before the upgrade")


def _manifest(run: ActionContext, component: str) -> Object:
    pod: Object = load(run.remote.read(manifest_path(component)))
    return pod
