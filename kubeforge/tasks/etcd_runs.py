"""How etcd runs on a host: as static pod on a control plane, as service on a host of its own. Registers no task."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kubeforge.cluster.etcd_survey import Survey, survey
from kubeforge.cluster.evidence import component_log, unit_log
from kubeforge.cluster.processes import command_lines
from kubeforge.documents import dump
from kubeforge.engine.model import ActionContext, Context
from kubeforge.inventory.model import Host
from kubeforge.manifests.control_plane import API_SERVER, CONTROLLER_MANAGER, SCHEDULER
from kubeforge.manifests.etcd import ETCD, arguments, settled
from kubeforge.manifests.etcd_service import service_unit
from kubeforge.manifests.static_pod import manifest_path
from kubeforge.operations.command import Command
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.model import Operation
from kubeforge.operations.unit import Unit
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.paths import (
    BIN,
    COMM,
    CONTROLLER_MANAGER_CONF,
    ETCD_DATA,
    ETCD_PKI,
    ETCD_UNIT,
    ETCD_USER,
    MANIFESTS,
    SCHEDULER_CONF,
)
from kubeforge.transport.base import Remote

__all__ = [
    "JOINER",
    "KUBELET",
    "LISTENS",
    "SIGNS",
    "UNIT",
    "Bereft",
    "again",
    "control_plane_runs",
    "data_directory",
    "end",
    "end_control_plane",
    "is_service",
    "join",
    "kubelet",
    "log",
    "no_joiner",
    "owner",
    "runs",
    "started",
    "still_runs",
    "stopped",
    "surveyed",
]

UNIT: Final = ETCD_UNIT.rpartition("/")[2]
JOINER: Final = "kubeforge-etcd-join.service"
"""Runs a member while it joins."""
_PASSING: Final = 600  # seconds, after which systemd ends it: whoever started it is gone
KUBELET: Final = "kubelet.service"
"""Starts what runs as a static pod."""
# of each three arguments: a program's name, an argument that no other of its name has, a signal
_END: Final = r"""
while [ $# -gt 0 ]; do
    for file in $(grep -lxsF -e "$1" /proc/[0-9]*/comm); do
        folder=${file%/comm}
        ! tr '\0' '\n' <"$folder/cmdline" 2>/dev/null | grep -qxF -e "$2" || kill -s "$3" "${folder#/proc/}" || true
    done
    shift 3
done
"""
# a program's name, as far as the kernel keeps it, and an argument that only ours has
_CONTROLLERS: Final = (
    (CONTROLLER_MANAGER[:COMM], f"--kubeconfig={CONTROLLER_MANAGER_CONF}"),
    (SCHEDULER, f"--kubeconfig={SCHEDULER_CONF}"),
)
_ABSENT: Final = 15.0  # seconds without a process: more than a container needs to be started anew
SIGNS: Final = (manifest_path(ETCD), ETCD_UNIT)
"""Files of which one is there wherever etcd was set up: they are written after its data."""

LISTENS: Final = (f"artifact {BIN}/{ETCD}", f"file {ETCD_UNIT}", f"file {ETCD_PKI}/ca.crt")
"""Changes that restart the service. Its other certificates are read anew by etcd itself."""


def is_service(spec: ClusterSpec) -> bool:
    """Whether etcd is a service on hosts of its own."""
    return spec.etcd.topology == "external"


def owner(spec: ClusterSpec) -> str:
    """Return the user that etcd runs as, and whom its data belong to."""
    return ETCD_USER if is_service(spec) else "root"


def data_directory(spec: ClusterSpec) -> Directory:
    """Return the directory of its data."""
    return Directory(path=ETCD_DATA, owner=owner(spec), group=owner(spec), mode=0o700)


def runs(context: Context) -> list[Operation]:
    """Make the member run as it shall."""
    if is_service(context.cluster):
        return _service(service_unit(context.cluster, context.host))
    pod = settled(context.cluster, context.host, context.parts.images)
    return [
        Directory(path=MANIFESTS, mode=0o700),
        File(path=manifest_path(ETCD), content=dump(pod).encode(), mode=0o600),
    ]


def _service(unit: str) -> list[Operation]:
    return [File(path=ETCD_UNIT, content=unit.encode()), Unit(name=UNIT, listens=LISTENS)]


def no_joiner() -> Command:
    """Make sure that no process of an earlier run that was cut off stands in the member's place.

    Not a Unit: a generation would keep that it ran, and a reset start it again.
    """
    ended = ("test", "!", "-e", f"/run/systemd/transient/{JOINER}")
    return Command(name=f"end {JOINER}", argv=("systemctl", "stop", "--", JOINER), unless=ended)


def join(remote: Remote, spec: ClusterSpec, host: Host, members: Mapping[str, str]) -> None:
    """Start a member without data as a passing process of systemd, so that it joins.

    What it is started with is written nowhere: found again without data, it would come in under its old id.

    Args:
        remote: its host.
        spec: the cluster.
        host: the member's.
        members: name -> peer URL of all, the new one among them.
    """
    _, *flags = arguments(spec, host, members=members)
    limits = ("Type=exec", f"User={owner(spec)}", "UMask=0077", "Restart=on-failure", f"RuntimeMaxSec={_PASSING}")
    properties = [f"--property={one}" for one in limits]
    remote.run(["systemd-run", "--quiet", "--collect", f"--unit={JOINER}", *properties, "--", f"{BIN}/{ETCD}", *flags])


def end(remote: Remote, spec: ClusterSpec, host: Host) -> None:
    """Bid a member's process end, in order. A pod's is not begun again while its kubelet is down.

    The API server beside it is ended as well. Without its etcd it serves nobody, but it takes requests: a kubelet that
    starts anew and has to wait for their answers does not start etcd (seen: not within 90 s, else after 3 s).
    """
    if not is_service(spec):
        remote.run(["sh", "-c", _END, "sh", ETCD, f"--name={host.name}", "TERM", *_server_of(host)])


def _server_of(host: Host) -> tuple[str, str, str]:
    """Return what ends the API server of a host. It is killed: in order, it waits for answers of etcd."""
    return API_SERVER, f"--advertise-address={host.address}", "KILL"


def end_control_plane(remote: Remote, host: Host) -> None:
    """Bid the processes of a control plane end; they are not begun again while its kubelet is down."""
    remote.run(["sh", "-c", _END, "sh", *_server_of(host), *(word for one in _CONTROLLERS for word in (*one, "TERM"))])


def control_plane_runs(remote: Remote, host: Host) -> str | None:
    """Say which processes of a control plane run; None where all have ended."""
    ours = ((API_SERVER, f"--advertise-address={host.address}"), *_CONTROLLERS)
    found = [name for name, sign in ours if any(sign in line for line in command_lines(remote, name))]
    return f"{', '.join(found)} still run" if found else None


@dataclass(slots=True)
class Bereft:
    """Ends the API server beside a member that shall run and has no process, once each time it has none: see `end`.

    Args:
        remote: of the member's host.
        spec: of the cluster.
        host: the member's.
        since: when it was first seen to have none, by the monotonic clock.
        done: whether the API server was ended since the member last ran.
    """

    remote: Remote
    spec: ClusterSpec
    host: Host
    since: float | None = None
    done: bool = False

    def seen(self, lacks: str | None) -> str | None:
        """Pass on what a member lacks, after each look."""
        if lacks is None or is_service(self.spec) or still_runs(self.remote, self.host):
            self.since, self.done = None, False
            return lacks
        now = time.monotonic()
        self.since = now if self.since is None else self.since
        if not self.done and now - self.since >= _ABSENT:
            self.remote.run(["sh", "-c", _END, "sh", *_server_of(self.host)])
            self.done = True
        return lacks


def stopped(spec: ClusterSpec) -> list[Operation]:
    """Make that nothing starts the member.

    Where it is a pod that is the kubelet: one that has not reached its API server since it started never ends a pod,
    whatever becomes of the manifest, and that API server waits for this very member.
    """
    return [no_joiner(), Unit(name=UNIT if is_service(spec) else KUBELET, enabled=None, state="stopped")]


def started(context: Context) -> list[Operation]:
    """Make the member run as it shall, after `stopped`."""
    return [*runs(context), *kubelet(context.cluster)]


def again(spec: ClusterSpec) -> list[Operation]:
    """Start what `stopped` stopped, as it was."""
    return [Unit(name=UNIT if is_service(spec) else KUBELET, enabled=None)]


def kubelet(spec: ClusterSpec) -> list[Operation]:
    """Start the kubelet that was stopped for a member's sake."""
    return [] if is_service(spec) else [Unit(name=KUBELET, enabled=None)]


def still_runs(remote: Remote, host: Host) -> str | None:
    """Say that a member's process runs; None where it has ended. Other etcds, in pods of the cluster, do not count."""
    mine = f"--name={host.name}"
    return "it still runs" if any(mine in line for line in command_lines(remote, ETCD)) else None


def surveyed(run: ActionContext) -> Survey:
    """Ask all members of the run's inventory how they are."""
    return survey([host.name for host in run.context.inventory.etcd_members], run.remote_of)


def log(remote: Remote, spec: ClusterSpec) -> list[str]:
    """Return etcd's last words on a host."""
    return unit_log(remote, UNIT) if is_service(spec) else component_log(remote, ETCD)
