"""What a cluster publishes for those who do not know it yet: kube-public/cluster-info. Reads only.

Whoever joins by token reads it without authentication, trusts it by the token's signature and the pinned hash of the
authority, and takes the API's address from it.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import yaml

from kubeforge.cluster.api import Api
from kubeforge.documents import load
from kubeforge.errors import ApiError
from kubeforge.pki.tokens import SIGNATURE_PREFIX

__all__ = ["Discovery", "read_discovery", "trusted_discovery"]

_PLACE: Final = ("v1", "ConfigMap", "cluster-info", "kube-public")
_STEP: Final = "kube-public/cluster-info"
_REMEDY: Final = "kubeforge apply writes it as it shall be"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """The ConfigMap's content.

    Args:
        kubeconfig: as it is signed.
        signatures: token id -> detached JWS.
    """

    kubeconfig: str
    signatures: Mapping[str, str]

    @property
    def server(self) -> str:
        """`host:port` of the API, as it is published.

        Raises:
            ApiError: it is no kubeconfig.
        """
        return str(self._cluster()["server"]).removeprefix("https://")

    @property
    def ca(self) -> bytes:
        """The authorities it names, PEM.

        Raises:
            ApiError: it is no kubeconfig.
        """
        return b64decode(self._cluster()["certificate-authority-data"])

    def _cluster(self) -> Mapping[str, Any]:
        try:
            cluster: Mapping[str, Any] = load(self.kubeconfig)["clusters"][0]["cluster"]
            b64decode(cluster["certificate-authority-data"], validate=True)
            str(cluster["server"])
        except (yaml.YAMLError, LookupError, TypeError, ValueError):
            raise ApiError("it holds no kubeconfig with server and authority", step=_STEP, remedy=_REMEDY) from None
        return cluster


def read_discovery(api: Api) -> Discovery | None:
    """Return what is published; None: nothing is."""
    found = api.get(*_PLACE)
    if found is None:
        return None
    data: Mapping[str, str] = found.get("data") or {}
    signatures = {
        key.removeprefix(SIGNATURE_PREFIX): value for key, value in data.items() if key.startswith(SIGNATURE_PREFIX)
    }
    return Discovery(kubeconfig=data.get("kubeconfig", ""), signatures=signatures)


def trusted_discovery(api: Api) -> Discovery:
    """Return what is published, after comparing its authority with the one that control planes have.

    Raises:
        ApiError: nothing is published, or another authority: a host that joined would be led elsewhere.
    """
    found = read_discovery(api)
    if found is None:
        raise ApiError("it is missing, so no host can find the cluster by a token", step=_STEP, remedy=_REMEDY)
    if found.ca.split() != api.ca.split():
        raise ApiError("it names another authority than the control planes have", step=_STEP, remedy=_REMEDY)
    return found
