"""The way to the API through control planes: with the admin kubeconfig that lies there, over their SSH connections.

The kubeconfig is read from a control plane when the API is first needed and stays in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from kubeforge.cluster.api import Api
from kubeforge.cluster.credentials import Credentials, parse_kubeconfig
from kubeforge.cluster.tunnel import Opener
from kubeforge.errors import ApiError, ApiUnavailable, ConnectionFailed
from kubeforge.secret import Secret
from kubeforge.spec.paths import ADMIN_CONF, API_PORT, SUPER_ADMIN_CONF
from kubeforge.transport.base import ByteSocket, Remote

if TYPE_CHECKING:
    from kubeforge.engine.model import ActionContext

__all__ = ["Access", "access_of", "api_of", "connect", "credentials_of", "own_api_of"]

_LOOPBACK: Final = "127.0.0.1"
# super-admin.conf needs no RBAC object to exist, so it works while the cluster is being filled (kubeadm, 1.29)
_READ: Final = 'for file; do [ -r "$file" ] && exec cat "$file"; done; exit 66'
_NO_INPUT: Final = 66  # EX_NOINPUT


def connect(remotes: Iterable[Callable[[], Remote]]) -> Api:
    """Return a client for the cluster of some control planes.

    Args:
        remotes: one per control plane; called when it is that one's turn.

    Raises:
        ApiUnavailable: no control plane can be asked, or none has an admin kubeconfig.
    """
    turns = list(remotes)
    return Api(_openers(turns), _credentials(turns))


class Access:
    """The run's clients: made when first needed, shared by all actions on all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._credentials: Credentials | None = None
        self._api: Api | None = None
        self._own: dict[str, Api] = {}
        self._renewed = False

    def api(self, run: ActionContext) -> Api:
        """Return the client that takes whichever API server answers.

        Raises:
            ApiUnavailable: see `connect`.
        """
        with self._lock:
            if self._api is None:
                turns = _turns(run)
                self._api = Api(_openers(turns), self._known(turns))
            return self._api

    def own(self, run: ActionContext) -> Api:
        """Return the client that asks the API server of the action's host and no other.

        Raises:
            ApiUnavailable: see `connect`.
        """
        host = run.context.host.name
        with self._lock:
            if host not in self._own:
                credentials = self._known(_turns(run))
                self._own[host] = Api(_openers([partial(run.remote_of, host)]), credentials)
            return self._own[host]

    def renew(self) -> None:
        """Forget the clients, once a run: the kubeconfigs may have been written anew since they were read.

        Called by the first action after they were written; others of its play may use the new clients already.
        """
        with self._lock:
            if self._renewed:
                return
            for client in (self._api, *self._own.values()):
                if client is not None:
                    client.close()
            self._credentials, self._api, self._own, self._renewed = None, None, {}, True

    def _known(self, turns: Sequence[Callable[[], Remote]]) -> Credentials:
        if self._credentials is None:
            self._credentials = _credentials(turns)
        return self._credentials


def access_of(run: ActionContext) -> Access:
    """Return the run's access."""
    return run.context.vault.once("cluster.access", Access)


def api_of(run: ActionContext) -> Api:
    """Return the run's client for the API.

    Raises:
        ApiUnavailable: see `connect`.
    """
    return access_of(run).api(run)


def own_api_of(run: ActionContext) -> Api:
    """Return the run's client for the API server of the action's own host.

    Raises:
        ApiUnavailable: see `connect`.
    """
    return access_of(run).own(run)


def _turns(run: ActionContext) -> list[Callable[[], Remote]]:
    """Return the control planes in inventory order: the first may have super-admin.conf, the others have not."""
    return [partial(run.remote_of, host.name) for host in run.context.inventory.control_planes]


def _credentials(turns: Sequence[Callable[[], Remote]]) -> Credentials:
    reasons = []
    for remote_of in turns:
        try:
            kubeconfig = _kubeconfig(remote_of())
        except ConnectionFailed as error:
            reasons.append(str(error))
            continue
        if kubeconfig is not None:
            return parse_kubeconfig(kubeconfig)
        reasons.append(f"{remote_of().host}: has no {ADMIN_CONF}")
    raise ApiUnavailable(
        "no control plane leads to the API",
        evidence=reasons,
        remedy="kubeforge apply founds the cluster; kubeforge status shows what is there",
    )


def _openers(turns: Sequence[Callable[[], Remote]]) -> list[Opener]:
    return [partial(_open, turn) for turn in turns]


def credentials_of(remote: Remote) -> Credentials | None:
    """Return the administrator's credentials that lie on a control plane; None: there are none.

    Raises:
        ApiError: the file is there and cannot be used.
    """
    kubeconfig = _kubeconfig(remote)
    return parse_kubeconfig(kubeconfig) if kubeconfig is not None else None


def _open(remote_of: Callable[[], Remote]) -> ByteSocket:
    return remote_of().open_tunnel(_LOOPBACK, API_PORT)


def _kubeconfig(remote: Remote) -> Secret | None:
    argv = ["sh", "-c", _READ, "sh", SUPER_ADMIN_CONF, ADMIN_CONF]
    answer = remote.run(argv, expect=(0, _NO_INPUT))
    if answer.status == _NO_INPUT:
        return None
    if not answer.stdout:
        raise ApiError(f"{ADMIN_CONF} is empty", host=remote.host, remedy="remove it and run kubeforge apply")
    return Secret(answer.stdout)
