"""One look at a cluster: every host is asked once, side by side, and the API through those that can be entered.

Whatever cannot be asked is said in its place, so half a cluster gives half a picture and never an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

from kubeforge.cluster.access import credentials_of
from kubeforge.cluster.api import Api
from kubeforge.cluster.credentials import Credentials
from kubeforge.cluster.status import health
from kubeforge.cluster.status.judge import judge
from kubeforge.cluster.status.kubernetes import Seen, ask
from kubeforge.cluster.status.model import ClusterStatus
from kubeforge.cluster.status.picture import Found, runs, status_of
from kubeforge.cluster.status.probe import Config, asked_of, probe
from kubeforge.errors import ConnectionFailed, KubeforgeError
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests.control_plane import API_SERVER, CONTROLLER_MANAGER, SCHEDULER
from kubeforge.spec import paths
from kubeforge.spec.addresses import has_own_address, inner_endpoint
from kubeforge.spec.model import ClusterSpec
from kubeforge.transport.base import ByteSocket, Remote

__all__ = ["look"]

_THREADS: Final = 32
_PATIENCE: Final = 8.0  # seconds; an API server without etcd takes its time to say nothing

_Probes = Mapping[str, "Future[Found]"]


def look(inventory: Inventory, spec: ClusterSpec, remote_of: Callable[[str], Remote]) -> ClusterStatus:
    """Ask a cluster how it is.

    Args:
        inventory: everybody.
        spec: the cluster.
        remote_of: host name -> Remote.
    """
    asked = datetime.now(tz=UTC)
    planes = [host for host in inventory.cluster if host in inventory.control_planes]
    others = [host for host in inventory.cluster if host not in inventory.control_planes]
    # Jobs that wait for others come after those in the queue, and are few: so none waits for what cannot begin.
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        probes = {host.name: pool.submit(_visit, inventory, spec, host, remote_of) for host in planes}
        entry = pool.submit(_entry, dict(probes), remote_of)
        api = pool.submit(_kubernetes, dict(probes), entry, spec, remote_of)
        components = {host.name: pool.submit(_components, probes[host.name], entry, remote_of) for host in planes}
        probes |= {host.name: pool.submit(_visit, inventory, spec, host, remote_of) for host in others}
        found = {name: future.result() for name, future in probes.items()}
        found |= {name: replace(found[name], components=future.result()) for name, future in components.items()}
        seen, silence = api.result()
    status = status_of(inventory, spec, found=found, seen=seen, silence=silence, asked=asked)
    return replace(status, problems=judge(status))


def _visit(inventory: Inventory, spec: ClusterSpec, host: Host, remote_of: Callable[[str], Remote]) -> Found:
    """Ask one host, and for the API from there."""
    asked = asked_of(inventory, host)
    try:
        remote = remote_of(host.name)
        answer = probe(remote, asked)
    except KubeforgeError as error:
        return Found(host=host.name, asked=asked, why=error.cause)
    config = answer.kubeconfigs.get(paths.KUBELET_CONF)
    asks = _asks(inventory, spec, host, config) if config is not None and config.server else None
    if asks is None:
        return Found(host=host.name, asked=asked, answer=answer)
    way, dns = health.way(remote, asks), health.resolves(remote, spec)
    return Found(host=host.name, asked=asked, answer=answer, way=way, dns=dns)


def _asks(inventory: Inventory, spec: ClusterSpec, host: Host, config: Config) -> Config:
    """Return where the API is looked for: a control plane's kubelet asks the one beside it, others the balancers."""
    if host not in inventory.control_planes or not has_own_address(spec, inventory):
        return config
    return replace(config, server=f"https://{inner_endpoint(spec, inventory)}")


def _entry(planes: _Probes, remote_of: Callable[[str], Remote]) -> Credentials | str:
    """Return an administrator's credentials from the first control plane that answers, or why there are none."""
    reasons: dict[str, str] = {}
    for future in as_completed(planes.values()):
        found = future.result()
        try:
            credentials = credentials_of(remote_of(found.host)) if found.answer is not None else None
        except KubeforgeError as error:
            reasons[found.host] = error.cause
            continue
        if credentials is not None:
            return credentials
        reasons[found.host] = found.why or f"has no {paths.ADMIN_CONF}"
    return "; ".join(f"{host}: {reasons[host]}" for host in planes) or "the inventory has no control plane"


def _kubernetes(
    planes: _Probes, entry: Future[Credentials | str], spec: ClusterSpec, remote_of: Callable[[str], Remote]
) -> tuple[Seen | None, str]:
    """Ask the API; return what it said, or why it did not."""
    credentials = entry.result()
    if isinstance(credentials, str):
        return None, credentials
    # those that have answered already come first: a dead host takes as long as its connection's timeout
    turns = sorted(planes, key=lambda name: not (planes[name].done() and planes[name].result().answer))
    try:
        openers = [partial(_open, name, planes[name], remote_of) for name in turns]
        with closing(Api(openers, credentials, timeout=_PATIENCE)) as api:
            return ask(api, spec), ""
    except KubeforgeError as error:
        return None, error.cause


def _open(name: str, visit: Future[Found], remote_of: Callable[[str], Remote]) -> ByteSocket:
    if visit.result().answer is None:
        raise ConnectionFailed(visit.result().why, host=name)
    return remote_of(name).open_tunnel(health.LOOPBACK, paths.API_PORT)


def _components(
    visit: Future[Found], entry: Future[Credentials | str], remote_of: Callable[[str], Remote]
) -> dict[str, tuple[str, str]]:
    """Ask the components of a control plane; return for each what is wrong, and its version where it tells."""
    found, credentials = visit.result(), entry.result()
    if found.answer is None:
        return {}
    remote = remote_of(found.host)
    mine = None if isinstance(credentials, str) else credentials
    questions: dict[str, Callable[[], tuple[str, str]]] = {
        API_SERVER: partial(health.api_server, health.loopback(remote, paths.API_PORT), mine),
        CONTROLLER_MANAGER: partial(health.controller, health.loopback(remote, paths.CONTROLLER_MANAGER_PORT)),
        SCHEDULER: partial(health.controller, health.loopback(remote, paths.SCHEDULER_PORT)),
    }
    return {
        component: question() if runs(found.answer, component) else ("does not run", "")
        for component, question in questions.items()
    }
