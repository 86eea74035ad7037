"""Changing what lives, one host at a time: may it be stopped, does it come up, else what it ran with. No task here.

ADR 57. A gate is asked before anything of a component is changed; `PodRolled` is the other end: it waits until the
component runs with its new manifest and answers, and if it does not, puts the old manifest back and fails the host, so
that the run stops with the cluster as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from kubeforge.cluster.access import access_of
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.etcd import lacks_health
from kubeforge.cluster.evidence import component_log
from kubeforge.cluster.processes import processes
from kubeforge.cluster.programs import lacks_image, refused_arguments
from kubeforge.cluster.quorum import lacks_quorum_without
from kubeforge.cluster.static_pods import component_of, lacks_answer, lacks_pod, starts
from kubeforge.documents import Object, dump, load
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import DeadlineExceeded, UnfitHost
from kubeforge.manifests.control_plane import API_SERVER
from kubeforge.manifests.etcd import client_url
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.absent import Absent
from kubeforge.operations.kept_file import KeptFile
from kubeforge.operations.kept_manifest import KeptManifest
from kubeforge.operations.model import Change, Operation, Verb
from kubeforge.secret import Secret
from kubeforge.spec.paths import COMPONENT_DEADLINE, GATE_DEADLINE
from kubeforge.tasks import living
from kubeforge.tasks.ending import end_component
from kubeforge.tasks.etcd_runs import Bereft
from kubeforge.tasks.kubelet_waked import Waked
from kubeforge.tasks.last_good import Crashed, failure, forget, kept, put_back

__all__ = ["ArgumentsTaken", "PodRolled", "Spared", "restarted", "rolled"]

_CRASHES: Final = 2
_STILL_DEAD: Final = 3  # looks in a row without a process: a container that is just being started has none either


def rolled(
    context: Context,
    pod: Object,
    *,
    gates: Sequence[Action] = (),
    reads: Mapping[str, Secret | None] | None = None,
    client: str | None = None,
    ask: bool = True,
    ended: str = "",
    beside: tuple[KeptFile, ...] = (),
) -> Iterator[Operation | Action]:
    """Give what changes a static pod that lives; nothing where it runs as it shall.

    Args:
        context: of the host.
        pod: as its manifest shall say.
        gates: what must hold before it is stopped.
        reads: path of what else it reads when it starts -> its new content; None where it stays.
        client: component of this host that is of no use without it; see `PodRolled`.
        ask: whether its binary is asked if it takes its arguments; not where they stay.
        ended: why this run has ended it already; empty: it has not.
        beside: see `PodRolled`.
    """
    name = component_of(pod)
    reads = reads or {}
    changed = living.runs_otherwise(context, name, dump(pod).encode())
    due = changed or bool(ended) or any(content is not None for content in reads.values())
    if not due and not living.is_unproved(context, name):
        return
    # Not with a client: the kubelet would want to tell the API of the pod that goes, and wait for it.
    kind = KeptManifest if client is None else KeptFile
    manifest = _kept(name, manifest_path(name), dump(pod).encode(), kind=kind)
    files = (manifest, *(_kept(name, path, content) for path, content in reads.items()))
    away = living.is_away(context, name)
    if due and not away:
        if ask and not ended:
            yield ArgumentsTaken(pod=pod)
        yield from gates
    if due or away:
        yield from files
    if due:
        cause = "its manifest changes" if changed else ended or "what it reads changes"
        why = f"{cause}; unless it serves, the old one goes back"
    else:
        why = "an earlier run was cut off before it was seen to serve"
    yield PodRolled(pod=pod, files=files, why=why, client=client, beside=beside)


def restarted(context: Context) -> set[str]:
    """Return the components that this run restarts on some control plane; complete once their play is planned."""
    return context.vault.once("rolling.restarted", set[str])


def _kept(component: str, path: str, content: bytes | Secret | None, *, kind: type[KeptFile] = KeptFile) -> KeptFile:
    return kind(path=path, content=content, mode=0o600, aside=living.aside(component, path))


@dataclass(frozen=True, slots=True, kw_only=True)
class ArgumentsTaken(Action):
    """Refuses arguments that the component's own binary does not take, before anything is touched. Changes nothing.

    Args:
        pod: as its manifest shall say.
    """

    pod: Object

    @property
    def title(self) -> str:
        """Names the component."""
        return f"arguments of {component_of(self.pod)}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Call the binary in its image; where the image comes with this run, it is asked before anything else changes.

        Raises:
            UnfitHost: it refuses them.
        """
        if self._asked(run, "nothing was changed"):
            return []
        if run.pending:
            return [Change(title=self.title, verb=Verb.RUN, why="ask its binary whether it takes them")]
        self._warn(run)
        return []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Ask, now that the image is there; where it gives no answer, its start will tell.

        Raises:
            UnfitHost: it refuses them, or the image is not there.
        """
        if not self._asked(run, "it was not touched"):
            if lacks_image(run.remote, self._image):
                raise UnfitHost(
                    f"{self._image} is not among its images; {component_of(self.pod)} was not touched",
                    host=run.context.host.name,
                    step=self.title,
                    remedy="apply again loads it; if it goes again, something else removes images there",
                )
            self._warn(run)
        return [Change(title=self.title, verb=Verb.RUN, why="its binary takes them")]

    @property
    def _image(self) -> str:
        image: str = self.pod["spec"]["containers"][0]["image"]
        return image

    def _warn(self, run: ActionContext) -> None:
        run.remark(f"{self._image} could not be asked whether it takes its arguments")

    def _asked(self, run: ActionContext, state: str) -> bool:
        """Whether it could be asked."""
        told = refused_arguments(run.remote, self._image, self.pod["spec"]["containers"][0]["command"])
        if told:
            raise UnfitHost(
                f"{component_of(self.pod)} does not take what cluster.yml gives it; {state}",
                host=run.context.host.name,
                step=self.title,
                evidence=told,
                remedy="correct cluster.yml by what it said",
            )
        return told is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class Spared(Action):
    """The cluster can do without the etcd member or the API server of this host for a moment.

    Args:
        name: the action's title.
        etcd: whether the member is stopped.
        servers: address and manifest of the API servers of all control planes, this host's among them; empty: this
            host's goes on serving.
    """

    name: str
    etcd: bool = False
    servers: tuple[tuple[str, Object], ...] = ()

    @property
    def title(self) -> str:
        """Its name."""
        return self.name

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Refuse at once where nothing changes before; else it is asked when the host's turn has come."""
        why = None if run.pending else self._lacks(run)
        if why is not None:
            raise UnfitHost(
                f"nothing is changed here: {why}",
                host=run.context.host.name,
                step=self.title,
                remedy="bring back what does not serve first: kubeforge status",
            )
        return [self._change("wait until the cluster can do without this host")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Wait for it: the host before may still be coming back."""
        condition = Condition(
            name="the cluster can do without this host for a moment",
            lacks=lambda: self._lacks(run),
            deadline=GATE_DEADLINE,
            remedy="nothing was changed here; bring back what does not serve (kubeforge status), then apply again",
        )
        await_condition(condition, run, step=self.title)
        return [self._change("the cluster can do without this host")]

    def _change(self, why: str) -> Change:
        return Change(title=self.title, verb=Verb.RUN, why=why)

    def _lacks(self, run: ActionContext) -> str | None:
        members = run.context.inventory.etcd_members
        why = None
        if self.etcd:
            why = lacks_quorum_without(run.remote, run.context.host.name, [client_url(member) for member in members])
        return why or self._nobody_else(run)

    def _nobody_else(self, run: ActionContext) -> str | None:
        """Say why clients would be left without an API server; None where others serve, or where none serves here."""
        mine = run.context.host.address
        others = [(address, pod) for address, pod in self.servers if address != mine]
        here = [pod for address, pod in self.servers if address == mine]
        if not others or any(lacks_answer(run.remote, pod, address=mine) for pod in here):
            return None
        reasons = []
        for address, pod in others:
            reason = lacks_answer(run.remote, pod, address=address)
            if reason is None:
                return None
            reasons.append(f"{address}: {reason}")
        return f"no other API server serves: {'; '.join(reasons)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PodRolled(Action):
    """A static pod runs with its new manifest and answers, or it has its old one back.

    Args:
        pod: as its manifest says now.
        files: what it is made of and reads when it starts: the manifest first.
        why: what the plan says.
        client: component that is killed once this one has gone, and that the kubelet starts again: it would take
            requests that it cannot answer, and the kubelet waits for answers before it starts the pod (seen: 47 s).
        beside: files of a pod that was ended for this one's sake, and comes back with this one's old files.
    """

    pod: Object
    files: tuple[KeptFile, ...]
    why: str
    client: str | None = None
    beside: tuple[KeptFile, ...] = ()

    @property
    def component(self) -> str:
        """Name of the component."""
        return component_of(self.pod)

    @property
    def title(self) -> str:
        """Names the pod."""
        return f"pod {self.component}"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """It restarts; whoever plans later may see that."""
        restarted(run.context).add(self.component)
        return [self._change()]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Wait; on failure put back what it ran with."""
        files, before = [file.path for file in self.files], 0
        if self._must_be_ended(run):
            before = starts(run.remote, self.pod)  # its manifest may be an old one, and it was started often since
            end_component(run.remote, self.component, "TERM")
        lacks = partial(lacks_pod, run.remote, self.pod, address=run.context.host.address, files=files)
        try:
            self._await(run, lacks, before)
        except (DeadlineExceeded, Crashed) as error:
            back = partial(self._go_back, run)
            raise failure(run, error, self.component, step=self.title, back=back) from None
        access_of(run).renew()  # this run may have written the kubeconfig anew, and nobody waited for the API before
        forget(run, self.component)
        return [self._change()]

    def _must_be_ended(self, run: ActionContext) -> bool:
        """Whether the kubelet may see no reason to restart it.

        It looks at manifests only, and only at those that are pods. One that it has not followed says nothing of what
        runs, which may be the new pod already.
        """
        manifest, *read = self.files
        older = ([manifest.aside], [file.path for file in read])
        return not all(one.fresh for files in older for one in processes(run.remote, self.component, files=files))

    def _change(self) -> Change:
        return Change(title=self.title, verb=Verb.RESTART, why=self.why)

    def _await(self, run: ActionContext, lacks: Callable[[], str | None], before: int) -> None:
        crashes = _Crashes(run, self.pod, self.client, before)
        bereft = Bereft(run.remote, run.context.cluster, run.context.host)
        waked = Waked(run, self.pod)
        condition = Condition(
            name=f"{self.component} serves",
            lacks=lambda: waked.seen(bereft.seen(crashes.seen(lacks()))),
            deadline=COMPONENT_DEADLINE,
            evidence=lambda: component_log(run.remote, self.component),
        )
        await_condition(condition, run, step=self.title)

    def _go_back(self, run: ActionContext) -> None:
        old = kept(run, self.files).get(manifest_path(self.component))
        pod = self.pod if old is None else load(old)
        new, before = (set(living.config_of(dump(each).encode())) for each in (self.pod, pod))
        put_back(run, self.files, then=[Absent(path=path, keep=False) for path in sorted(new - before)])
        # With another command it is enough that it runs: the kubelet may never have ended it.
        files = [file.path for file in self.files] if _command(pod) == _command(self.pod) else []
        lacks = partial(lacks_pod, run.remote, pod, address=run.context.host.address, files=files)
        self._await(run, lacks, starts(run.remote, pod))
        if self.beside:
            put_back(run, self.beside)


def _command(pod: Object) -> list[str]:
    command: list[str] = pod["spec"]["containers"][0]["command"]
    return command


@dataclass(slots=True)
class _Crashes:
    """Counts how often a component was started and ended again since somebody waits for it.

    An API server whose etcd is away ends after 20 s, whatever its flags are: such starts say nothing about it. Its
    client is ended once, when it was seen to have gone.

    Args:
        before: how often it had been started by then, since its manifest was written.
    """

    run: ActionContext
    pod: Object
    client: str | None
    before: int
    dead: int = field(default=0)

    def seen(self, lacks: str | None) -> str | None:
        """Pass on what is lacking.

        Raises:
            Crashed: it was started twice and does not run.
        """
        name = component_of(self.pod)
        if lacks is not None and self._is_without_etcd():
            self.before, self.dead = starts(self.run.remote, self.pod), 0
            return lacks
        if lacks is None or processes(self.run.remote, name):
            self.dead = 0
            return lacks
        if self.client is not None:
            end_component(self.run.remote, self.client, "KILL")
            self.client = None
        if starts(self.run.remote, self.pod) - self.before < _CRASHES:
            self.dead = 0
            return lacks
        self.dead += 1
        if self.dead < _STILL_DEAD:
            return lacks
        raise Crashed(
            f"{name} was started twice, and ended each time",
            host=self.run.context.host.name,
            evidence=component_log(self.run.remote, name),
        )

    def _is_without_etcd(self) -> bool:
        """Whether it is an API server, and the member of etcd beside it does not serve."""
        context = self.run.context
        beside = component_of(self.pod) == API_SERVER and context.host in context.inventory.etcd_members
        return beside and lacks_health(self.run.remote) is not None
