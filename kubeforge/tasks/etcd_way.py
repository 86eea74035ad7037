"""A way for one etcd member to another by the address that other had, for as long as it takes. Registers no task."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from kubeforge.engine.model import ActionContext
from kubeforge.operations.file import File
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
"""The passing unit that forwards; it takes the address back when it ends, however it ends."""
_PASSING: Final = 600  # seconds, after which systemd ends it: whoever started it is gone
_PEER: Final = "etcd-peer"
# $1: address, $2: its prefix, $3: where to listen, $4: where to lead. By arp_ignore=1 (kernel, ip-sysctl) the host does
# not answer its neighbours for an address of its loopback: whoever has it by now keeps it.
_FORWARD: Final = r"""
old=$1/$2 listen=$3 lead=$4 arp=/proc/sys/net/ipv4/conf/all/arp_ignore proxy=
for file in /lib/systemd/systemd-socket-proxyd /usr/lib/systemd/systemd-socket-proxyd; do
    [ ! -x "$file" ] || proxy=$file
done
[ -n "$proxy" ] || { echo "systemd-socket-proxyd is missing" >&2; exit 1; }
was=$(cat "$arp")
trap 'ip address del "$old" dev lo; echo "$was" >"$arp"' EXIT
trap 'exit 0' TERM INT
echo 1 >"$arp"
ip address replace "$old" dev lo
systemd-socket-activate --listen="$listen" "$proxy" "$lead" &
wait
"""


@contextmanager
def borrowed(remote: Remote, target: Move) -> Iterator[None]:
    """Lead a host's own connections to a member's old address to its new one.

    Args:
        remote: the host that shall find the member.
        target: the member's move.
    """
    ends = [host_port(address, ETCD_PEER_PORT) for address in (target.old, target.new)]
    words = [target.old, "128" if ":" in target.old else "32", *ends]
    properties = ["--property=Type=exec", f"--property=RuntimeMaxSec={_PASSING}"]
    _end(remote)
    remote.run(
        [
            "systemd-run",
            "--quiet",
            "--collect",
            f"--unit={WAY}",
            *properties,
            "--",
            "sh",
            "-euc",
            _FORWARD,
            "sh",
            *words,
        ]
    )
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
