"""etcd as a systemd service, on hosts that have no kubelet. The same command line as the static pod's, see `etcd`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from kubeforge.manifests.etcd import arguments, peer_url
from kubeforge.manifests.render import render
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.paths import BIN, ETCD_DATA, ETCD_USER, ETCD_WAL

if TYPE_CHECKING:
    from kubeforge.inventory.model import Host

__all__ = ["service_unit"]

_PLAIN: Final = re.compile(r"[A-Za-z0-9_./:,=@+-]+")


def service_unit(spec: ClusterSpec, host: Host) -> str:
    """Return the unit of a member; without its data it is not started."""
    _, *flags = arguments(spec, host, members={host.name: peer_url(host)})
    return render(
        "etcd/etcd.service",
        command=" \\\n    ".join((f"{BIN}/etcd", *map(_quoted, flags))),
        data=ETCD_WAL,
        directory=ETCD_DATA,
        user=ETCD_USER,
    )


def _quoted(word: str) -> str:
    """Quote a word for ExecStart=: systemd.service(5), COMMAND LINES; specifiers and variables are none here."""
    escaped = word.replace("%", "%%").replace("$", "$$")
    if _PLAIN.fullmatch(escaped):
        return escaped
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'
