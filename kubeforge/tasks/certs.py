"""`kubeforge certs renew`: what is said before, and those who read their certificates only when they start.

Who reads what again by itself, so that nothing is restarted for it (Kubernetes v1.36, etcd v3.6):

- API server: its serving certificate and the one it shows to aggregated servers, when the file changes
  (apiserver/pkg/server/dynamiccertificates, DynamicFileServingCertificate); the one it shows to kubelets within five
  minutes (client-go/transport/cert_rotation.go); the one it shows to etcd at each handshake (etcd client/pkg/transport,
  TLSInfo.ClientConfig, GetClientCertificate).
- etcd: its own two at each handshake (client/pkg/transport/listener.go, GetCertificate).
- controller manager and scheduler: never; their kubeconfig is read when they start.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import yaml

from kubeforge.engine.model import Action, Context
from kubeforge.errors import ConnectionFailed, UnfitHost
from kubeforge.manifests.control_plane import CONTROLLER_MANAGER, SCHEDULER
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.model import Operation
from kubeforge.pki.certificates import Kind, Scope, rows_for
from kubeforge.spec.paths import CONTROLLER_MANAGER_CONF, SCHEDULER_CONF
from kubeforge.tasks import living, moving, pki
from kubeforge.tasks.control_plane import ApiServes
from kubeforge.tasks.registry import task
from kubeforge.tasks.remark import Remark
from kubeforge.tasks.rights import need_root
from kubeforge.tasks.rolling import rolled

__all__ = ["answers", "controllers", "look"]

_READ_ONCE: Final = {CONTROLLER_MANAGER: CONTROLLER_MANAGER_CONF, SCHEDULER: SCHEDULER_CONF}


@task("certs.look", reads=pki.reads)
def look(context: Context) -> Iterator[Action]:
    """Refuse where no cluster lives; say which certificates have ended."""
    need_root(context, "certs.look")
    move = moving.moved(context)
    if move is not None:
        raise UnfitHost(
            f"its address is {move.new}, and what runs there was made for {move.old}",
            host=context.host.name,
            step="certs.look",
            remedy="kubeforge apply repairs that, with new certificates",
        )
    if not _is_founded(context):
        raise UnfitHost(
            "no cluster lives on the control planes, so there is nothing to renew",
            host=context.host.name,
            step="certs.look",
            remedy="kubeforge apply founds it, with new certificates",
        )
    rows = [row for row in rows_for(context.inventory, context.host) if row.kind is not Kind.KEY_PAIR]
    ended = [row for row in rows if pki.has_ended(context, row.certificate)]
    authorities = [row.name for row in ended if row.scope is Scope.SHARED]
    if authorities:
        raise UnfitHost(
            f"the authority {', '.join(authorities)} has ended: nothing that it signs is valid any more",
            host=context.host.name,
            step="certs.look",
            remedy="put a new authority with its key on the control planes, and remove what the old one signed",
        )
    if ended:
        names = ", ".join(row.name for row in ended)
        text = f"{names} ended: whoever checks them does not talk to this host; they are renewed before anybody waits"
        yield Remark(about="certificates", text=text)


def _is_founded(context: Context) -> bool:
    """Whether a cluster lives, as far as control planes that answer tell."""
    try:
        return living.is_founded(context)
    except ConnectionFailed as error:
        raise UnfitHost(
            "no control plane that answers shows that a cluster lives",
            host=context.host.name,
            step="certs.look",
            evidence=str(error).splitlines(),
            remedy=f"bring back {error.host}, or another control plane",
        ) from error


@task("certs.answers", reads=living.reads)
def answers(context: Context) -> Iterator[Action]:
    """The API server of a control plane answers before the next certificate of it is touched."""
    if context.host in context.inventory.control_planes:
        yield ApiServes()


@task("certs.controllers", reads=pki.reads)
def controllers(context: Context) -> Iterator[Operation | Action]:
    """Controller manager and scheduler start again with their new kubeconfigs, one after the other."""
    kubeconfigs = pki.replaced_kubeconfigs(context)
    contents = context.seen[context.host.name].contents
    for name, path in _READ_ONCE.items():
        manifest = contents.get(manifest_path(name))
        if manifest is not None and path in kubeconfigs:
            yield from rolled(context, yaml.safe_load(manifest), reads={path: kubeconfigs[path]}, ask=False)
