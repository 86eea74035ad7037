"""Asks one host, in one round trip, what it knows of itself and of etcd. Reads only, and never a private key.

The script is templates/status/host.sh. What it says is taken apart here and judged elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from kubeforge.cluster.etcd import etcdctl
from kubeforge.errors import ProtocolError
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests.render import render
from kubeforge.operations.shell import join, quote
from kubeforge.pki import kubeconfigs
from kubeforge.pki.certificates import Kind, row, rows_for
from kubeforge.spec import paths
from kubeforge.transport.base import Remote
from kubeforge.transport.protocol.framing import new_nonce
from kubeforge.transport.protocol.note import Interruption, interrupted

__all__ = [
    "HAPROXY_SERVICE",
    "KEEPALIVED_SERVICE",
    "Answer",
    "Asked",
    "Config",
    "asked_of",
    "parse",
    "probe",
    "script",
    "split_answer",
]

_DEADLINE: Final = 30.0
_MICROSECONDS: Final = 1e6
_PATIENCE: Final = ("--dial-timeout=2s", "--command-timeout=3s")
HAPROXY_SERVICE: Final = paths.HAPROXY_UNIT.rpartition("/")[2]
KEEPALIVED_SERVICE: Final = paths.KEEPALIVED_UNIT.rpartition("/")[2]
_KUBELET: Final = "kubelet.service"
_UNITS: Final = (_KUBELET, "containerd.service", HAPROXY_SERVICE, KEEPALIVED_SERVICE)
_FIELD: Final = re.compile(
    r"^ *(?:- )?(server|certificate-authority-data|client-certificate-data): *(\S+)", re.MULTILINE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is asked of a host.

    Args:
        certificates: path -> (name, whether it signs, whether its owner renews it).
        kubeconfigs: paths.
        etcd: whether a member should run there.
    """

    certificates: Mapping[str, tuple[str, bool, bool]]
    kubeconfigs: tuple[str, ...]
    etcd: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The public part of a kubeconfig.

    Args:
        server: URL.
        authority: PEM that the server's certificate must lead to; empty where it is not embedded.
        certificate: the client's, PEM; empty where it is not embedded.
    """

    server: str = ""
    authority: bytes = b""
    certificate: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a host said.

    Args:
        units: systemd's ActiveState by unit.
        kubelet_started: when the kubelet was started, seconds of the host's clock; 0: it does not run.
        manifests: names of files in the static pods' folder, without suffix.
        processes: names of processes (15 characters of them).
        left: what an earlier act left undone.
        held: lock file -> its content, for locks that somebody holds.
        certificates: path -> PEM.
        kubeconfigs: path -> its public part.
        etcd: what `etcdctl endpoint status` printed; None: it was not asked.
        members: what `etcdctl member list` printed; None: there is no leader, or nobody was asked.
        no_data: whether a member that should be there has no data.
    """

    units: Mapping[str, str] = field(default_factory=dict)
    kubelet_started: float = 0.0
    manifests: tuple[str, ...] = ()
    processes: frozenset[str] = frozenset()
    left: Interruption | None = None
    held: Mapping[str, str] = field(default_factory=dict)
    certificates: Mapping[str, bytes] = field(default_factory=dict)
    kubeconfigs: Mapping[str, Config] = field(default_factory=dict)
    etcd: str | None = None
    members: str | None = None
    no_data: bool = False


def asked_of(inventory: Inventory, host: Host) -> Asked:
    """Return what is asked of a host of the inventory."""
    rows = [one for one in rows_for(inventory, host) if one.kind is not Kind.KEY_PAIR]
    certificates = {one.certificate: (one.name, one.kind is Kind.AUTHORITY, False) for one in rows}
    node = host in (*inventory.control_planes, *inventory.workers)
    if node:
        ca = row("ca")
        certificates.setdefault(ca.certificate, (ca.name, True, False))
        certificates[paths.KUBELET_CLIENT_CURRENT] = ("kubelet-client", False, True)
        certificates[paths.KUBELET_SERVING_CURRENT] = ("kubelet-server", False, True)
    plane = host in inventory.control_planes
    configs = [one.path for one in kubeconfigs.TABLE] if plane else []
    return Asked(
        certificates=certificates,
        kubeconfigs=(*configs, *((paths.KUBELET_CONF,) if node else ())),
        etcd=host in inventory.etcd_members,
    )


def script() -> str:
    """Return the script."""
    return render(
        "status/host.sh",
        units=join(_UNITS),
        manifests=quote(paths.MANIFESTS),
        note=quote(paths.RUN_NOTE),
        lock=quote(paths.LOCK),
        cluster_lock=quote(paths.CLUSTER_LOCK),
        etcdctl=join(etcdctl(*_PATIENCE)),
        etcd_data=quote(paths.ETCD_WAL),
    )


def probe(remote: Remote, asked: Asked) -> Answer:
    """Ask a host.

    Raises:
        ConnectionFailed: and its subclasses.
        ProtocolError: the answer was cut off.
    """
    nonce = new_nonce()
    words = (nonce, "yes" if asked.etcd else "no", *asked.certificates, "--", *asked.kubeconfigs)
    done = remote.run(["sh", "-c", script(), "sh", *words], deadline=_DEADLINE, expect=range(256))
    try:
        return parse(nonce, done.stdout.decode("utf-8", "replace"))
    except ProtocolError as error:
        error.host = remote.host
        raise


def parse(nonce: str, text: str) -> Answer:
    """Take the script's answer apart.

    Raises:
        ProtocolError: it does not come to its end.
    """
    parts = list(split_answer(nonce, text))
    if not parts or parts[-1][0] != ["end"]:
        raise ProtocolError("the host gave no whole answer", step="status", evidence=text.splitlines()[-3:])
    first = {words[0]: body for words, body in parts if len(words) == 1}
    named = [(words[0], words[1], body) for words, body in parts if len(words) > 1]
    units = _units(first["units"])
    return Answer(
        units={name: block.get("ActiveState", "") for name, block in units.items()},
        kubelet_started=_started(units[_KUBELET], first["clocks"]),
        manifests=tuple(name.removesuffix(".yaml") for name in first["manifests"].split()),
        processes=frozenset(first["processes"].splitlines()),
        left=interrupted(first["note"].encode()),
        held={path: body.strip() for kind, path, body in named if kind == "held"},
        certificates={path: body.encode() for kind, path, body in named if kind == "certificate"},
        kubeconfigs={path: _config(body) for kind, path, body in named if kind == "kubeconfig"},
        etcd=first.get("etcd"),
        members=first.get("members"),
        no_data="no-data" in first,
    )


def split_answer(nonce: str, text: str) -> Iterator[tuple[list[str], str]]:
    """Yield the parts of a script's answer: the words after the nonce, and what follows."""
    for piece in text.split(f"\n{nonce} ")[1:]:
        head, _, body = piece.partition("\n")
        yield head.split(), body


def _units(text: str) -> dict[str, dict[str, str]]:
    blocks = [dict(line.partition("=")[::2] for line in block.splitlines()) for block in text.split("\n\n")]
    known = {block.get("Id", ""): block for block in blocks}
    return {name: known.get(name, {}) for name in _UNITS}


def _started(unit: Mapping[str, str], clocks: str) -> float:
    """Return when a unit's process was started; by the monotonic clock, as the other may have been set since."""
    monotonic = float(unit.get("ExecMainStartTimestampMonotonic") or 0) / _MICROSECONDS
    if not monotonic or unit.get("ActiveState") != "active":
        return 0.0
    up, now = map(float, clocks.split())
    return now - (up - monotonic)


def _config(text: str) -> Config:
    found = dict(_FIELD.findall(text))
    return Config(
        server=found.get("server", ""),
        authority=_decoded(found.get("certificate-authority-data", "")),
        certificate=_decoded(found.get("client-certificate-data", "")),
    )


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text)
    except binascii.Error:
        return b""
