"""A way for one etcd member to another by the address that other had, for as long as it takes. Registers no task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from kubeforge.engine.model import ActionContext
from kubeforge.operations.file import File
from kubeforge.operations.shell import quote
from kubeforge.pki.certificates import KEY_MODE, PUBLIC_MODE, Identity, request, row
from kubeforge.secret import Secret
from kubeforge.spec.addresses import host_port
from kubeforge.spec.paths import ETCD_PEER_PORT
from kubeforge.tasks.acting import act
from kubeforge.tasks.etcd_runs import owner
from kubeforge.tasks.moving import Move
from kubeforge.tasks.trust import trust_of
from kubeforge.transport.base import Remote

__all__ = ["WAY", "borrowed", "passing_certificate"]

WAY: Final = "kubeforge-etcd-way.service"
"""The passing unit that forwards. systemd takes the address back when it has ended, however it ended."""
_PASSING: Final = 600  # seconds, after which systemd ends it: whoever started it is gone
_PEER: Final = "etcd-peer"
# By arp_ignore=1 (kernel, ip-sysctl) the host answers no neighbour who asks for an address of its loopback: whoever has
# it by now keeps it.
_ARP: Final = "/proc/sys/net/ipv4/conf/all/arp_ignore"
# systemd-run returns when this has ended. $MAINPID: of the unit (systemd.service, ExecStartPost).
_LISTENS: Final = "until ss -Hltn src {} | grep -q .; do kill -0 $MAINPID || exit 1; sleep 0.05; done"
# $1: address and its prefix, $2: where to listen, $3: where to lead.
_FORWARD: Final = rf"""
proxy=
for file in /lib/systemd/systemd-socket-proxyd /usr/lib/systemd/systemd-socket-proxyd; do
    [ ! -x "$file" ] || proxy=$file
done
[ -n "$proxy" ] || {{ echo "systemd-socket-proxyd is missing" >&2; exit 1; }}
echo 1 >{_ARP}
ip address replace "$1" dev lo
exec systemd-socket-activate --listen="$2" "$proxy" "$3"
"""


@contextmanager
def borrowed(remote: Remote, target: Move) -> Iterator[None]:
    """Lead a host's own connections to a member's old address to its new one.

    Args:
        remote: the host that shall find the member.
        target: the member's move.
    """
    _end(remote)
    address = f"{target.old}/{128 if ':' in target.old else 32}"
    was = int(remote.run(["cat", _ARP]).stdout)
    given_back = f"ip address del {address} dev lo; echo {was} >{_ARP}"
    ends = [host_port(one, ETCD_PEER_PORT) for one in (target.old, target.new)]
    properties = (
        "Type=exec",
        f"RuntimeMaxSec={_PASSING}",
        f"ExecStartPost=/bin/sh -c {quote(_LISTENS.format(ends[0]))}",
        # A trap of the shell's own is not enough: a signal that comes while it runs ends it half-way.
        f"ExecStopPost=/bin/sh -c {quote(given_back)}",
    )
    started = ["systemd-run", "--quiet", "--collect", f"--unit={WAY}", *(f"--property={one}" for one in properties)]
    remote.run([*started, "--", "sh", "-euc", _FORWARD, "sh", address, *ends])
    try:
        yield
    finally:
        _end(remote)


def _end(remote: Remote) -> None:
    remote.run(["systemctl", "stop", "--", WAY], expect=(0, 5))  # 5: not loaded, as an earlier run's is gone


@contextmanager
def passing_certificate(run: ActionContext, target: Move) -> Iterator[None]:
    """Let a member show a peer certificate for both its addresses: who finds it by the old one asks for that.

    Where the run ends before the former is back, the next one sees an address too many in it, and issues another.
    """
    context, peer = run.context, row(_PEER)
    host = context.inventory.hosts[target.host]
    says = request(peer, Identity.of(context.cluster, context.inventory, host))
    both = replace(says, addresses=(*says.addresses, target.old))
    issued = trust_of(context).sign({_PEER: (both, peer.signer or peer.name)})[_PEER]
    remote = run.remote_of(target.host)
    former = (Secret(remote.read(peer.key)), remote.read(peer.certificate))
    _show(run, target.host, issued.key, issued.certificate)
    try:
        yield
    finally:
        _show(run, target.host, *former)


def _show(run: ActionContext, host: str, key: Secret, certificate: bytes) -> None:
    """Write them; etcd reads both at each handshake (client/pkg/transport/listener.go)."""
    user, peer = owner(run.context.cluster), row(_PEER)
    files = [
        File(path=peer.key, content=key, mode=KEY_MODE, owner=user, group=user),
        File(path=peer.certificate, content=certificate, mode=PUBLIC_MODE),
    ]
    act(run, files, step="etcd.addresses", host=host)
