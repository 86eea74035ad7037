"""Waits until those who serve with a certificate that was replaced have taken the new one. Registers no task.

API server and etcd read their files again by themselves (etcd at every handshake, the API server when a file changes
and every minute), so nothing is restarted. Clients' certificates are read again at every new connection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kubeforge.cluster.conditions import Condition, await_condition
from kubeforge.cluster.evidence import component_log
from kubeforge.cluster.tunnel import served_certificate
from kubeforge.engine.model import Action, ActionContext
from kubeforge.manifests.control_plane import API_SERVER
from kubeforge.manifests.etcd import ETCD
from kubeforge.operations.model import Change, Verb
from kubeforge.spec.paths import API_PORT, ETCD_CLIENT_PORT, ETCD_PEER_PORT, RELOAD_DEADLINE

__all__ = ["SERVED", "CertificatesServed"]

SERVED: Final[Mapping[str, tuple[str, int]]] = {
    "apiserver": (API_SERVER, API_PORT),
    "etcd-server": (ETCD, ETCD_CLIENT_PORT),
    "etcd-peer": (ETCD, ETCD_PEER_PORT),
}
"""Row of the certificates' table -> who serves with it, on which port of the host's address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificatesServed(Action):
    """The certificates that were written are those that are shown.

    Args:
        certificates: row of the certificates' table, PEM.
    """

    certificates: tuple[tuple[str, bytes], ...]

    @property
    def title(self) -> str:
        """Names its task."""
        return "pki.served"

    def plan(self, run: ActionContext) -> Sequence[Change]:  # noqa: ARG002 - its task gives it only where it is due
        """Wait."""
        return [self._change()]

    def run(self, run: ActionContext) -> Sequence[Change]:
        """Shake hands until the new ones are shown."""
        condition = Condition(
            name="the new certificates are in use",
            lacks=lambda: next(filter(None, (self._lacks(run, *each) for each in self.certificates)), None),
            deadline=RELOAD_DEADLINE,
            evidence=lambda: [line for name in self._components for line in component_log(run.remote, name)],
        )
        await_condition(condition, run, step=self.title)
        return [self._change()]

    @property
    def _components(self) -> list[str]:
        return list(dict.fromkeys(SERVED[name][0] for name, _ in self.certificates))

    def _change(self) -> Change:
        names = " and ".join(self._components)
        return Change(title=self.title, verb=Verb.RUN, why=f"wait until the new certificates are shown by {names}")

    @staticmethod
    def _lacks(run: ActionContext, name: str, certificate: bytes) -> str | None:
        component, port = SERVED[name]
        shown = served_certificate(partial(run.remote.open_tunnel, run.context.host.address, port))
        if shown is None:
            return f"{component} does not answer on port {port}"
        meant = x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)
        return None if shown == meant else f"{component} still shows its old certificate on port {port}"
