"""Which control planes live already, and what on them runs with something else than it shall. Pure, but for `reads`.

A cluster that is founded is written everywhere at once; one that lives is changed host by host, behind gates (ADR 57).
What tells them apart is the controller manager's manifest: it is written only once the API has served (ADR 43).
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final

import yaml

from kubeforge.documents import load
from kubeforge.engine.model import Context
from kubeforge.errors import ConnectionFailed
from kubeforge.inventory.model import CONTROL_PLANE, Host, Inventory
from kubeforge.manifests.control_plane import API_SERVER, CONTROLLER_MANAGER, SCHEDULER
from kubeforge.manifests.etcd import ETCD
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.file import digest
from kubeforge.operations.model import Entry, Queries
from kubeforge.spec.paths import COMPONENT_CONFIG, KUBELET_CLIENT_CURRENT, LAST_GOOD
from kubeforge.tasks import moving

__all__ = [
    "KUBELET",
    "RUNTIME",
    "aside",
    "folder",
    "has_its_turn",
    "is_away",
    "is_founded",
    "is_unproved",
    "lives",
    "node_lives",
    "reads",
    "runs_otherwise",
    "unused_config",
]

KUBELET: Final = "kubelet"
RUNTIME: Final = "containerd"
_CONFIG_FILE: Final = re.compile(rf"(?<==){re.escape(COMPONENT_CONFIG)}/[-a-z0-9]+\.yaml")
_PODS: Final = (ETCD, API_SERVER, CONTROLLER_MANAGER, SCHEDULER)


def folder(component: str) -> str:
    """Return where lies what a component ran with before a change that is not proved yet."""
    return f"{LAST_GOOD}/{component}"


def aside(component: str, path: str) -> str:
    """Return where one file of it lies."""
    return f"{folder(component)}/{path.rpartition('/')[2]}"


def reads(inventory: Inventory, host: Host) -> Queries:
    """Ask what the components run with, what was set aside, and for which address it was made."""
    manifests = tuple(manifest_path(name) for name in _PODS)
    asides = tuple(folder(name) for name in (*_PODS, KUBELET, RUNTIME))
    own = Queries(stats=(*manifests, *asides, KUBELET_CLIENT_CURRENT), hashes=manifests, reads=manifests)
    return Queries.merge((own, moving.reads(inventory, host)))


def lives(context: Context, host: str) -> bool:
    """Whether a control plane was whole when the run began; one whose address is another one since is not.

    One whose power went just when that manifest was replaced (ADR 97) has the old one aside.
    """
    there = _has(context, host, manifest_path(CONTROLLER_MANAGER)) or _lies_aside(context, host, CONTROLLER_MANAGER)
    return there and not moving.moves(context, [context.inventory.hosts[host]])


def node_lives(context: Context) -> bool:
    """Whether this node was part of a cluster when the run began: then it is changed with care, among few."""
    if CONTROL_PLANE in context.host.groups:
        return lives(context, context.host.name)
    return _has(context, context.host.name, KUBELET_CLIENT_CURRENT) and not moving.is_adrift(context)


def is_founded(context: Context) -> bool:
    """Whether any control plane was; this host is looked at first, as others may be out of reach.

    Raises:
        ConnectionFailed: none of those that answer was, and one cannot be asked.
    """
    planes = [host.name for host in context.inventory.control_planes]
    planes.sort(key=lambda name: name != context.host.name)
    silent = None
    for name in planes:
        try:
            if lives(context, name):
                return True
        except ConnectionFailed as error:
            silent = silent or error
    if silent is not None:
        raise silent
    return False


def runs_otherwise(context: Context, component: str, manifest: bytes) -> bool:
    """Whether a component of this host lives with another pod than its manifest shall say: it is changed with care.

    Another text of the same pod, with a comment say, restarts nothing: it is a file like any other.
    """
    seen, path = context.seen[context.host.name], manifest_path(component)
    now = seen.hashes.get(path)
    if not isinstance(now, str) or now == digest(manifest) or not is_founded(context):
        return False
    if moving.moved(context) is not None:
        return False
    return _pod_of(seen.contents.get(path, b"")) != _pod_of(manifest)


def _pod_of(manifest: bytes) -> object:
    """Return what the kubelet takes from a manifest; None: nothing."""
    try:
        return load(manifest)
    except (yaml.YAMLError, UnicodeDecodeError):
        return None


def is_unproved(context: Context, component: str) -> bool:
    """Whether an earlier run changed a component of this host and was cut off before it was seen to serve."""
    return _lies_aside(context, context.host.name, component)


def is_away(context: Context, component: str) -> bool:
    """Whether an earlier run was cut off just when the manifest was replaced (ADR 97): the old one lies aside."""
    return not _has(context, context.host.name, manifest_path(component)) and is_unproved(context, component)


def _lies_aside(context: Context, host: str, component: str) -> bool:
    return _has(context, host, folder(component))


def _has(context: Context, host: str, path: str) -> bool:
    return isinstance(context.seen[host].paths.get(path), Entry)


def has_its_turn(context: Context, component: str, manifest: bytes) -> bool:
    """Whether a component of this host is changed, or seen to serve, only when the host has its turn."""
    return runs_otherwise(context, component, manifest) or is_unproved(context, component)


def unused_config(context: Context, used: Collection[str]) -> list[str]:
    """Return the files of ours that this host's components ran with when the run began, and that none needs any more.

    Args:
        context: of the host.
        used: those that are needed.
    """
    contents = context.seen[context.host.name].contents
    named = [path for name in (API_SERVER, SCHEDULER) for path in config_of(contents.get(manifest_path(name), b""))]
    return [path for path in named if path not in used]


def config_of(manifest: bytes) -> list[str]:
    """Return the files of ours that a manifest names."""
    return _CONFIG_FILE.findall(manifest.decode(errors="replace"))
