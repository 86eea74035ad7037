"""How much room the new parts take on each host: what is not there yet, in the store and among the images. Pure.

Sizes are those of the files on this machine; where they are not here yet, those of the same parts compiled from source
stand for them (shared/docs/parts.md), which are the bigger ones. An image takes its archive's bytes in containerd's
content store and its unpacked files beside them: the programs' 156 MB come as 37 MB of zstd.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from kubeforge.artifacts.availability import Availability
from kubeforge.artifacts.catalogue import ARCHIVES, FILES
from kubeforge.cluster.status.model import Problem
from kubeforge.cluster.upgrade.model import Need
from kubeforge.cluster.upgrade.obstacles import obstacle
from kubeforge.cluster.upgrade.runs import CNI_PLUGINS, FOREIGN, KUBELET, Runs
from kubeforge.cluster.upgrade.seen import HostSeen, Room
from kubeforge.spec.paths import CONTAINERD_DATA, STORE

__all__ = ["judge_room", "needs"]

_MEBI: Final = 1 << 20
_UNPACKED: Final = 156 / 37
_FILE_SIZES: Final[Mapping[str, int]] = {
    **dict.fromkeys(("kubelet", "kubeadm", "kubectl"), 156 * _MEBI),
    **dict.fromkeys(("etcd", "etcdctl", "etcdutl"), 63 * _MEBI // 3),
    **dict.fromkeys(("containerd", "containerd-shim-runc-v2", "ctr"), 76 * _MEBI // 3),
    "runc": 11 * _MEBI,
}
_PLUGIN: Final = 3 * _MEBI
_ARCHIVE_SIZES: Final[Mapping[str, int]] = {"control-plane": 96 * _MEBI, "node": 75 * _MEBI, "addons": 60 * _MEBI}
_ETCD: Final = ("etcd", "etcdctl", "etcdutl")


def needs(
    runs: Sequence[Runs], hosts: Mapping[str, HostSeen], parts: Mapping[str, Sequence[Availability]], *, ingress: bool
) -> tuple[Need, ...]:
    """Return what the parts of all versions on the way take, by host and file system.

    Args:
        runs: the hosts and their roles.
        hosts: what they have.
        parts: architecture -> the parts of each version on the way.
        ingress: whether nodes get the archive of addons.
    """
    found: list[Need] = []
    for one in runs:
        seen = hosts.get(one.host)
        if seen is not None and not seen.why and FOREIGN not in one.roles:
            found += _of_host(one, seen, parts.get(seen.arch, ()), ingress=ingress)
    return tuple(found)


def judge_room(found: Iterable[Need], hosts: Mapping[str, HostSeen]) -> Iterator[Problem]:
    """Say where there is too little, or little."""
    for need in found:
        sizes = f"{need.needed // _MEBI} MiB of new parts on {need.mount}, {need.free // _MEBI} MiB are free"
        about = f"{'about ' if need.estimated else ''}{sizes}"
        seen = hosts[need.host]
        images = seen.image_store is not None and seen.image_store.mount == need.mount
        if need.needed > need.free:
            yield obstacle("room", need.host, about)
        elif images and need.needed and need.free - need.needed < seen.evicts * need.size:
            left = (need.free - need.needed) * 100 // max(1, need.size)
            told = f"{about}: that leaves {left} %, and below {seen.evicts:.0%} the kubelet evicts pods"
            yield obstacle("room-tight", need.host, told)
    for name, seen in hosts.items():
        if not seen.why and (seen.store is None or seen.image_store is None):
            yield obstacle("room-not-known", name, f"it does not say how much room {STORE} and {CONTAINERD_DATA} have")


def _of_host(one: Runs, seen: HostSeen, parts: Sequence[Availability], *, ingress: bool) -> Iterator[Need]:
    wanted: dict[str, Room] = {}
    amounts: dict[str, int] = {}
    guessed: set[str] = set()
    for room, bytes_, known in (*_files(one, seen, parts), *_images(one, seen, parts, ingress=ingress)):
        wanted[room.mount] = room
        amounts[room.mount] = amounts.get(room.mount, 0) + bytes_
        guessed |= set() if known else {room.mount}
    for mount, room in wanted.items():
        yield Need(
            host=one.host,
            mount=mount,
            needed=amounts[mount],
            free=room.free,
            size=room.size,
            estimated=mount in guessed,
        )


def _files(one: Runs, seen: HostSeen, parts: Sequence[Availability]) -> Iterator[tuple[Room, int, bool]]:
    """Yield what programs take; one file under several names is stored once."""
    if seen.store is None:
        return
    counted = set(seen.stored)
    for part in parts:
        for name in _names(one, part):
            file = part.files.get(name)
            if file is None and not _is_new(one, part, name):
                continue
            digest = file.sha256 if file is not None else f"{part.versions.kubernetes} {name}"
            if digest not in counted:
                counted.add(digest)
                size = file.size if file is not None else _FILE_SIZES.get(name, _PLUGIN)
                yield seen.store, size, file is not None


def _names(one: Runs, part: Availability) -> Iterator[str]:
    """Yield the files that a host of these roles gets."""
    node, member = bool({"control-plane", "worker"} & set(one.roles)), "etcd" in one.roles
    for name in FILES:
        if (not part.files or name in part.files) and (member if name in _ETCD else node):
            yield name


def _is_new(one: Runs, part: Availability, name: str) -> bool:
    """Whether a program whose digest is not known here is one that the host does not run yet."""
    field = FILES[name].component
    component = {"kubernetes": KUBELET, "cni_plugins": CNI_PLUGINS, "flannel": CNI_PLUGINS}.get(field, field)
    return one.now.get(component, "") != str(getattr(part.versions, field))


def _images(
    one: Runs, seen: HostSeen, parts: Sequence[Availability], *, ingress: bool
) -> Iterator[tuple[Room, int, bool]]:
    """Yield what images take, packed and unpacked, of archives of which anything is missing."""
    if seen.image_store is None or not {"control-plane", "worker"} & set(one.roles):
        return
    own = "control-plane" if "control-plane" in one.roles else "node"
    for part in parts:
        for archive in (own, *(("addons",) if ingress else ())):
            lacking = [name for name in ARCHIVES[archive] if part.images.get(name, "") not in {*seen.images, ""}]
            if lacking:
                file = part.archives.get(archive)
                size = (
                    file.size if file is not None else _ARCHIVE_SIZES[archive] * len(lacking) // len(ARCHIVES[archive])
                )
                yield seen.image_store, round(size * (1 + _UNPACKED)), False
