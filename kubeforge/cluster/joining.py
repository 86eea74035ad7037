"""Makes what a host needs to join with kubeadm: a token that cluster-info is signed with, and the shared certificates.

Nothing here is journalled: what is made is handed to the caller, who prints it because somebody asked for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from kubeforge.cluster.api import Api
from kubeforge.cluster.conditions import Condition, until
from kubeforge.cluster.discovery import trusted_discovery
from kubeforge.cluster.tokens import create, remove
from kubeforge.documents import load, revealed
from kubeforge.errors import ApiError, ConnectionFailed, OperationFailed, UnfitHost
from kubeforge.pki.tokens import BootstrapToken, ca_hashes, new_token, signature, token_secret
from kubeforge.pki.upload import (
    CERTS_LIFETIME,
    OWNER_DESCRIPTION,
    UPLOAD_ANNOTATION,
    certs_secret,
    new_certificate_key,
    shared_files,
)
from kubeforge.secret import Secret
from kubeforge.spec.paths import APPLY_DEADLINE
from kubeforge.transport.base import Remote

__all__ = ["Invitation", "Upload", "invite", "upload_certificates"]

_CONFLICT: Final = 409
_STEP: Final = "token join-command"


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """All that `kubeadm join` is told.

    Args:
        endpoint: `host:port` of the API.
        token: authenticates the host, and the cluster to the host.
        hashes: of the cluster's authorities, `sha256:HEX`.
        expires: when the token ends; None: never.
        certificate_key: opens the Secret kubeadm-certs; None: the host becomes a worker.
        certificates_expire: when that Secret goes.
    """

    endpoint: str
    token: BootstrapToken
    hashes: tuple[str, ...]
    expires: datetime | None
    certificate_key: Secret | None = None
    certificates_expire: datetime | None = None

    @property
    def command(self) -> Secret:
        """The command for the host's shell, one line; no word of it needs quotes."""
        words = ["kubeadm", "join", self.endpoint, "--token", self.token.text.reveal().decode()]
        for digest in self.hashes:
            words += ["--discovery-token-ca-cert-hash", digest]
        if self.certificate_key is not None:
            words += ["--control-plane", "--certificate-key", self.certificate_key.reveal().decode()]
        return Secret(" ".join(words))

    def as_json(self) -> dict[str, Any]:
        """Return it as JSON has it: secrets and all."""
        key = self.certificate_key
        return {
            "command": self.command.reveal().decode(),
            "endpoint": self.endpoint,
            "token": self.token.text.reveal().decode(),
            "ca_cert_hashes": list(self.hashes),
            "expires": _written(self.expires),
            "control_plane": key is not None,
            "certificate_key": None if key is None else key.reveal().decode(),
            "certificates_expire": _written(self.certificates_expire),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """The shared certificates in the cluster.

    Args:
        key: opens them.
        owner: id of the token with which they go.
    """

    key: Secret
    owner: str


def invite(
    api: Api,
    *,
    now: datetime,
    lifetime: timedelta | None,
    description: str = "",
    upload: Upload | None = None,
    evidence: Callable[[], Sequence[str]] = tuple,
) -> Invitation:
    """Make a token and wait until cluster-info is signed with it; where it is not, the token goes again.

    Args:
        api: the cluster.
        now: with time zone.
        lifetime: of the token; None: for ever.
        description: of the token.
        upload: what `upload_certificates` has uploaded at `now`; None: the host becomes a worker.
        evidence: why the signature may be missing.

    Raises:
        ApiError: cluster-info leads elsewhere, or the API refused.
        DeadlineExceeded: the signature did not come.
    """
    discovery = trusted_discovery(api)
    token = new_token()
    secret = token_secret(token, now=now, lifetime=lifetime, description=description)
    if upload is not None:
        secret["metadata"]["annotations"] = {UPLOAD_ANNOTATION: upload.owner}
    create(api, secret)
    try:
        _await_signature(api, token, evidence)
    except BaseException:
        remove(api, [token.id])
        raise
    return Invitation(
        endpoint=discovery.server,
        token=token,
        hashes=ca_hashes(api.ca),
        expires=None if lifetime is None else now + lifetime,
        certificate_key=None if upload is None else upload.key,
        certificates_expire=None if upload is None else now + CERTS_LIFETIME,
    )


def upload_certificates(api: Api, remotes: Iterable[Callable[[], Remote]], *, now: datetime) -> Upload:
    """Put what control planes share into the Secret kubeadm-certs, which goes after two hours.

    Whatever was uploaded before is replaced, so the key of that opens nothing any more.

    Args:
        api: the cluster.
        remotes: one per control plane; called when it is that one's turn.
        now: with time zone.

    Raises:
        UnfitHost: no control plane has all the files.
        ApiError: the cluster has no kubeadm-config, or the API refused.
    """
    files = _read_shared(shared_files(_configuration(api)), remotes, ca=api.ca)
    key = new_certificate_key()
    owner = new_token()
    secret = token_secret(owner, now=now, lifetime=CERTS_LIFETIME, description=OWNER_DESCRIPTION, groups=(), uses=())
    made = certs_secret(files, key, create(api, secret))
    try:
        api.create(revealed(made))
    except ApiError as error:
        if error.status != _CONFLICT:
            raise
        api.replace(made)  # whole: applied field by field, the owner of an earlier upload would stay
    return Upload(key=key, owner=owner.id)


def _configuration(api: Api) -> Mapping[str, Any]:
    found = api.get("v1", "ConfigMap", "kubeadm-config", "kube-system") or {}
    text = (found.get("data") or {}).get("ClusterConfiguration")
    if text is None:
        raise ApiError(
            "the cluster has no ClusterConfiguration, so kubeadm cannot join a control plane",
            step="kube-system/kubeadm-config",
            remedy="kubeforge apply writes it",
        )
    configuration: Mapping[str, Any] = load(text)
    return configuration


def _read_shared(paths: Mapping[str, str], remotes: Iterable[Callable[[], Remote]], *, ca: bytes) -> dict[str, Secret]:
    """Return name -> content, from the first control plane of this cluster that has everything."""
    reasons = []
    for remote_of in remotes:
        try:
            remote = remote_of()
            files = {name: Secret(remote.read(path)) for name, path in paths.items()}
        except (ConnectionFailed, OperationFailed) as error:
            reasons.append(str(error).splitlines()[0])
            continue
        if set(ca_hashes(files["ca.crt"].reveal())) <= set(ca_hashes(ca)):
            return files
        reasons.append(f"{remote.host}: its {paths['ca.crt']} is another cluster's")
    raise UnfitHost(
        "no control plane has all the files that control planes share",
        step=_STEP,
        evidence=reasons,
        remedy="where an authority's key is kept elsewhere, give the new host its certificates by hand and join it "
        "with the worker's command and --control-plane",
    )


def _await_signature(api: Api, token: BootstrapToken, evidence: Callable[[], Sequence[str]]) -> None:
    until(
        Condition(
            name=f"cluster-info is signed with the token {token.id}",
            lacks=partial(_lacks_signature, api, token),
            deadline=APPLY_DEADLINE,
            evidence=evidence,
            remedy="the bootstrapsigner of the controller manager signs it: kubeforge status",
        ),
        step=_STEP,
    )


def _lacks_signature(api: Api, token: BootstrapToken) -> str | None:
    discovery = trusted_discovery(api)
    signed = discovery.signatures.get(token.id)
    if signed is None:
        return "there is no signature yet"
    return None if signed == signature(discovery.kubeconfig, token) else "its signature is of another text"


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.strftime("%Y-%m-%dT%H:%M:%SZ")
