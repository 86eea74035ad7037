"""API server, controller manager and scheduler of a control plane: their manifests, and waiting until they serve."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.access import access_of, api_of, own_api_of
from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.etcd import lacks_health
from kubeforge.cluster.evidence import component_log
from kubeforge.cluster.processes import lacks_command
from kubeforge.cluster.rights import may
from kubeforge.cluster.static_pods import component_of
from kubeforge.documents import Object, dump
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.errors import ApiUnavailable, ConnectionFailed
from kubeforge.inventory.model import Host
from kubeforge.manifests.config_files import ConfigFile, api_server_files, scheduler_files
from kubeforge.manifests.control_plane import (
    API_SERVER,
    CONTROLLER_MANAGER,
    SCHEDULER,
    api_server,
    controller_manager,
    scheduler,
)
from kubeforge.manifests.etcd import settled
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.absent import Absent
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.model import Change, Operation, Verb
from kubeforge.spec.paths import (
    API_DEADLINE,
    COMPONENT_CONFIG,
    CONTROLLER_MANAGER_CONF,
    HOST_AWAY,
    MANIFESTS,
    SCHEDULER_CONF,
)
from kubeforge.tasks import living, pki
from kubeforge.tasks.etcd_runs import is_service, log
from kubeforge.tasks.parking import parks
from kubeforge.tasks.registry import task
from kubeforge.tasks.rolling import Spared, rolled

__all__ = ["ApiServes", "LeasesGranted", "api_server_of", "api_servers", "controllers", "ready", "roll", "server"]


@task("control_plane.api_server", reads=living.reads)
def server(context: Context) -> Iterator[Operation]:
    """Static pod of the API server."""
    if context.host in context.inventory.control_planes:
        yield Directory(path=MANIFESTS, mode=0o700)
        yield from _config_files(context)
        yield from _manifest(context, api_server_of(context))


@task("control_plane.ready", reads=living.reads)
def ready(context: Context) -> Iterator[Action]:
    """Wait until the API server of a control plane serves, but for one that `roll` changes or judges.

    That one may be silent because of what it runs with now.
    """
    if context.host in context.inventory.control_planes:
        pods = [api_server_of(context)]
        if not is_service(context.cluster):
            pods.append(settled(context.cluster, context.host, context.parts.images))
        if not any(living.has_its_turn(context, component_of(pod), _text(pod)) for pod in pods):
            yield ApiServes(commands=tuple(tuple(pod["spec"]["containers"][0]["command"]) for pod in pods))


@task("control_plane.roll", reads=pki.reads)
def roll(context: Context) -> Iterator[Operation | Action]:
    """Components that live get their new manifests, one after the other, and each must come back with it."""
    if context.host not in context.inventory.control_planes:
        return
    if not parks(context):  # else `etcd.roll` has brought it back
        gate = Spared(name="control_plane.gate", servers=api_servers(context))
        yield from rolled(context, api_server_of(context), gates=(gate,))
    kubeconfigs = pki.replaced_kubeconfigs(context)
    for pod, path in zip(_controllers(context), (CONTROLLER_MANAGER_CONF, SCHEDULER_CONF), strict=True):
        yield from rolled(context, pod, reads={path: kubeconfigs.get(path)})
    used = {file.path for file in _files(context)}
    yield from (Absent(path=path) for path in living.unused_config(context, used))


@task("control_plane.controllers", reads=living.reads)
def controllers(context: Context) -> Iterator[Operation | Action]:
    """Static pods of the controller manager and the scheduler.

    They come once they may have their leases: refused the first time, they try again only seconds later (ADR 0043).
    """
    if context.host in context.inventory.control_planes:
        if not living.lives(context, context.host.name):
            yield LeasesGranted()
        for pod in _controllers(context):
            yield from _manifest(context, pod)


def api_servers(context: Context) -> tuple[tuple[str, Object], ...]:
    """Return address and manifest of every control plane's API server."""
    return tuple((host.address, api_server_of(context, host)) for host in context.inventory.control_planes)


def api_server_of(context: Context, host: Host | None = None) -> Object:
    """Return the pod of this host's API server, or of another one's."""
    images, folders = context.parts.images, context.mine.ca_directories
    return api_server(context.cluster, context.inventory, host or context.host, images, ca_directories=folders)


def _controllers(context: Context) -> tuple[Object, Object]:
    spec, images = context.cluster, context.parts.images
    manager = controller_manager(spec, images, ca_directories=context.mine.ca_directories)
    return manager, scheduler(spec, images)


def _manifest(context: Context, pod: Object) -> Iterator[File]:
    """Write a manifest, unless its component lives with another one: see `roll`."""
    name = component_of(pod)
    if not living.runs_otherwise(context, name, _text(pod)):
        yield File(path=manifest_path(name), content=_text(pod), mode=0o600)


def _config_files(context: Context) -> Iterator[Operation]:
    """Write files whose names tell their content: nobody reads them until a manifest names them."""
    files = _files(context)
    if files:
        yield Directory(path=COMPONENT_CONFIG, mode=0o700)
    yield from (File(path=file.path, content=file.content, mode=0o600) for file in files)


def _files(context: Context) -> tuple[ConfigFile, ...]:
    return (*api_server_files(context.cluster), *scheduler_files(context.cluster))


def _text(pod: Object) -> bytes:
    return dump(pod).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiServes(Action):
    """The API server answers. Its last hooks may still run: what needs them waits by itself.

    Args:
        commands: how the API server and the etcd beside it shall run; others of their name are on their way out.
    """

    commands: tuple[tuple[str, ...], ...] = ()

    @property
    def title(self) -> str:
        """Its task's name."""
        return "control_plane.ready"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Wait where something changed on this host, or where no API answers."""
        why = "after the changes above" if run.expected.changed else _silence(run)
        return [] if why is None else [Change(title=self.title, verb=Verb.RUN, why=f"wait for the API: {why}")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Poll until it answers.

        Raises:
            ConnectionFailed: its host cannot be reached for longer than a reboot takes.
        """
        away = _Away(run)
        access_of(run).renew()  # this run may have written the kubeconfig anew
        condition = Condition(
            name="the API server answers",
            lacks=lambda: away.seen(self._lacks(run)),
            deadline=API_DEADLINE,
            evidence=lambda: _words(run),
        )
        await_condition(condition, run, step=self.title)
        return [Change(title=self.title, verb=Verb.RUN, why="the API server answers")]

    def _lacks(self, run: ActionContext) -> str | None:
        silence = _silence(run)
        if silence is not None:
            return silence
        return next(filter(None, (lacks_command(run.remote, one) for one in self.commands)), None)


_ASKED_EVERY: Final = 1.0  # seconds; an API server that starts is polled more often than its host need be asked


@dataclass(slots=True)
class _Away:
    """A host that is gone for long is no API server that is late: whoever waits shall not wait for it."""

    run: ActionContext
    since: float | None = None
    asked: float = 0.0

    def seen(self, lacks: str | None) -> str | None:
        """Pass on what is lacking.

        Raises:
            ConnectionFailed: the host could not be reached since `HOST_AWAY` seconds.
        """
        now = time.monotonic()
        if lacks is None or now - self.asked < _ASKED_EVERY:
            return lacks
        self.asked = now
        try:
            self.run.remote.run(["true"])
        except ConnectionFailed:
            self.since = now if self.since is None else self.since
            if now - self.since >= HOST_AWAY:
                raise
        else:
            self.since = None
        return lacks


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasesGranted(Action):
    """Controller manager and scheduler may have their leases: the API server has made its own roles."""

    @property
    def title(self) -> str:
        """Names what is granted."""
        return "control_plane.leases"

    def plan(self, run: ActionContext) -> Sequence[Change]:
        """Of interest only while a control plane is founded."""
        return [self._change("wait for the API server's own roles")] if run.expected.changed else []

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Ask until both may."""
        condition = Condition(
            name="the API server has made its own roles",
            lacks=lambda: _refused(run),
            deadline=API_DEADLINE,
            evidence=lambda: _words(run),
        )
        await_condition(condition, run, step=self.title)
        return [self._change("the API server has made its own roles")]

    def _change(self, why: str) -> Change:
        return Change(title=self.title, verb=Verb.RUN, why=why)


def _refused(run: ActionContext) -> str | None:
    for component in (SCHEDULER, CONTROLLER_MANAGER):
        user, lease = f"system:{component}", "leases.coordination.k8s.io"
        if not may(api_of(run), user, "update", lease, namespace="kube-system", name=component):
            return f"{user} may not have its lease yet"
    return None


def _silence(run: ActionContext) -> str | None:
    """Say why this host's own API server does not serve; None where it does."""
    try:
        status, body = own_api_of(run).text("/livez/ping")
    except ApiUnavailable as error:
        return error.cause
    return None if status == 200 else f"it answers {status}: {body.strip()[:200]}"


def _words(run: ActionContext) -> list[str]:
    """Return the API server's last words; before them those of an etcd that is not well, for then nothing else is."""
    context = run.context
    apart = is_service(context.cluster)
    members = [run.remote_of(host.name) for host in context.inventory.etcd_members] if apart else [run.remote]
    sick = [(remote, why) for remote in members if (why := lacks_health(remote))]
    etcd = [line for remote, why in sick for line in (f"{remote.host}: {why}", *log(remote, context.cluster))]
    return [*etcd, *component_log(run.remote, API_SERVER)]
