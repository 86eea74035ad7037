"""The certificates of a kubelet, renewed before it does so by itself, or once they have ended.

A worker's key never leaves it: its kubelet is sent through the bootstrap once more, as when it joined. A kubelet whose
certificate has ended takes that way by itself (cmd/kubelet/app, LoadClientConfig: "isClientConfigStillValid"), once
there is a bootstrap-kubelet.conf. A control plane's is issued beforehand, as at its birth: it is no use to wait for an
API that this very host may have to bring up.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509

from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.evidence import kubelet_log
from kubeforge.engine.model import Action, ActionContext, Context
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests.kubelet import cluster_configuration
from kubeforge.operations.absent import Absent
from kubeforge.operations.file import File
from kubeforge.operations.model import Change, Entry, Operation, Queries, Verb
from kubeforge.operations.shell import quote
from kubeforge.operations.symlink import Symlink
from kubeforge.operations.unit import Unit
from kubeforge.pki import kubeconfigs, verify
from kubeforge.pki.certificates import KEY_MODE, Identity
from kubeforge.secret import Secret
from kubeforge.spec.addresses import inner_endpoint
from kubeforge.spec.paths import (
    BOOTSTRAP_KUBELET_CONF,
    KUBELET_CLIENT_CURRENT,
    KUBELET_PKI,
    KUBELET_SERVING_CURRENT,
    NODE_DEADLINE,
)
from kubeforge.tasks import living
from kubeforge.tasks.kubelet import TokenPresent, token_of
from kubeforge.tasks.kubelet_rolled import KubeletRolled
from kubeforge.tasks.nodes import as_wanted
from kubeforge.tasks.registry import task
from kubeforge.tasks.renewal import KUBELET_CLIENT, KUBELET_SERVER, wants
from kubeforge.tasks.trust import now, trust_of
from kubeforge.tasks.trust import reads as trust_reads

__all__ = ["ClientAsked", "renew"]

_ISSUED: Final = f"{KUBELET_PKI}/kubelet-client-issued.pem"
_PATHS: Final = {KUBELET_CLIENT: KUBELET_CLIENT_CURRENT, KUBELET_SERVER: KUBELET_SERVING_CURRENT}
# The files hold keys beside the certificates: only the latter leave the host.
_SED: Final = "sed -n '/^-----BEGIN CERTIFICATE-----$/,/^-----END CERTIFICATE-----$/p'"
_PUBLIC: Final = {path: f"{_SED} -- {quote(path)} 2>/dev/null || true" for path in _PATHS.values()}


def _reads(inventory: Inventory, host: Host) -> Queries:
    own = Queries(stats=tuple(_PATHS.values()), outputs=tuple(_PUBLIC.values()))
    return Queries.merge((trust_reads(inventory, host), living.reads(inventory, host), own))


@task("certs.kubelet", reads=_reads)
def renew(context: Context) -> Iterator[Operation | Action]:
    """A kubelet gets new certificates; the node is Ready with them before the next one is touched."""
    if not context.host.is_node or not living.node_lives(context):
        return
    client, serving = (_is_wanted(context, name) for name in _PATHS)
    asks = context.host not in context.inventory.control_planes
    if client or serving:
        yield from _anew(context, client=client, serving=serving, asks=client and asks)
    if asks:  # also where an earlier run was cut off before it
        yield Absent(path=BOOTSTRAP_KUBELET_CONF, keep=False)


def _anew(context: Context, *, client: bool, serving: bool, asks: bool) -> Iterator[Operation | Action]:
    """Give it other certificates; `asks`: its client asks for one, as its key stays where it is."""
    if asks:
        yield TokenPresent(token=token_of(context))
    changes = [*_client(context, asks=asks, wanted=client), *_serving(wanted=serving)]
    unit = Unit(name="kubelet.service", listens=tuple(change.title for change in changes))
    yield from (*changes, unit)
    port = int(cluster_configuration(context.cluster)["healthzPort"])
    unproved = living.is_unproved(context, living.KUBELET)
    yield KubeletRolled(files=(), unit=unit, health_port=port, unproved=unproved)
    if asks:
        yield ClientAsked()
    yield as_wanted(context, anew=serving)


def _is_wanted(context: Context, name: str) -> bool:
    path, seen = _PATHS[name], context.seen[context.host.name]
    if not isinstance(seen.paths.get(path), Entry):
        return False  # it has none yet: to join is another task's
    return wants(context, name, due=_is_overdue(seen.outputs.get(_PUBLIC[path], ""), now(context)))


def _is_overdue(text: str, at: datetime) -> bool:
    try:
        found = x509.load_pem_x509_certificate(text.encode())
    except ValueError:
        return True
    return found.not_valid_after_utc - at < verify.kubelet_overdue(found)


def _client(context: Context, *, asks: bool, wanted: bool) -> Iterator[Operation]:
    if not wanted:
        return
    trust = trust_of(context)
    if asks:
        content = kubeconfigs.bootstrap(
            cluster=context.cluster.name,
            server=inner_endpoint(context.cluster, context.inventory),
            ca=trust.certificate("ca"),
            token=token_of(context).text,
        )
        yield File(path=BOOTSTRAP_KUBELET_CONF, content=content, mode=KEY_MODE)
        yield Absent(path=KUBELET_CLIENT_CURRENT, keep=False, why="the kubelet asks for another")
        return
    identity = Identity.of(context.cluster, context.inventory, context.host)
    asked = {KUBELET_CLIENT_CURRENT: (kubeconfigs.kubelet_client(identity), "ca")}
    signed = context.vault.once((context.host.name, _ISSUED), lambda: trust.sign(asked))[KUBELET_CLIENT_CURRENT]
    yield File(path=_ISSUED, content=Secret(signed.certificate + signed.key.reveal()), mode=KEY_MODE)
    yield Symlink(path=KUBELET_CLIENT_CURRENT, target=_ISSUED)


def _serving(*, wanted: bool) -> Iterator[Operation]:
    if wanted:
        yield Absent(path=KUBELET_SERVING_CURRENT, keep=False, why="the kubelet asks for another")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientAsked(Action):
    """The kubelet has asked for its client certificate, and the cluster has signed it."""

    @property
    def title(self) -> str:
        """Names it."""
        return "kubelet.client"

    def plan(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - given only where it is due
        """Wait."""
        return [self._change("wait until the kubelet has its new client certificate")]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Look until it is there."""

        def lacks() -> str | None:
            there = run.remote.observe(Queries(stats=(KUBELET_CLIENT_CURRENT,))).paths.get(KUBELET_CLIENT_CURRENT)
            return None if isinstance(there, Entry) else "it has none yet"

        condition = Condition(
            name="the kubelet has its new client certificate",
            lacks=lacks,
            deadline=NODE_DEADLINE,
            evidence=lambda: kubelet_log(run.remote),
        )
        await_condition(condition, run, step=self.title)
        return [self._change("the cluster signed its new client certificate")]

    def _change(self, why: str) -> Change:
        return Change(title=self.title, verb=Verb.RUN, why=why)
