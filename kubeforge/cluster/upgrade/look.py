"""One look at a cluster before an upgrade: status, hosts, API, sources of parts; then it is judged. Changes nothing.

Whatever cannot be asked is named among the problems, so half a cluster gives half an answer and never an error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Final

from kubeforge.artifacts.availability import Availability, Shelf
from kubeforge.artifacts.catalogue import image_references
from kubeforge.cluster.access import connect
from kubeforge.cluster.status.look import look as look_at_status
from kubeforge.cluster.status.model import ClusterStatus
from kubeforge.cluster.upgrade import judge as judging
from kubeforge.cluster.upgrade import kubernetes, probe
from kubeforge.cluster.upgrade.arguments import ask_arguments
from kubeforge.cluster.upgrade.judge import Question
from kubeforge.cluster.upgrade.model import UpgradePlan
from kubeforge.cluster.upgrade.registries import ask_registries
from kubeforge.cluster.upgrade.runs import comparable, oldest, runs_of, versions_of
from kubeforge.cluster.upgrade.seen import HostSeen, KubernetesSeen, Seen
from kubeforge.cluster.upgrade.supply import ImageAnswer
from kubeforge.errors import ArtifactError, KubeforgeError
from kubeforge.inventory.model import Host, Inventory
from kubeforge.manifests.control_plane import API_SERVER
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.upgrade_path import targets, wanted_version
from kubeforge.transport.base import Remote

__all__ = ["look"]

_THREADS: Final = 32
_ARCH: Final = "amd64"  # where no host says


def look(
    inventory: Inventory,
    spec: ClusterSpec,
    remote_of: Callable[[str], Remote],
    shelf: Shelf,
    *,
    version: str | None = None,
    ignored: Collection[str] = (),
) -> UpgradePlan:
    """Return what an upgrade would meet and do.

    Args:
        inventory: everybody.
        spec: the cluster.
        remote_of: host name -> Remote.
        shelf: where parts come from.
        version: where to: a patch or a minor; None: see `judge.choose`.
        ignored: kinds of problems that shall not stand in the way.

    Raises:
        InputError: `version` is none that kubeforge knows.
    """
    offered = _offered(shelf)
    wanted = wanted_version(version, offered) if version is not None else None
    seen = _see(inventory, spec, remote_of)
    runs = runs_of(seen, inventory)
    now = oldest(runs, seen.status)
    supply = _Supply(spec, inventory, seen, remote_of, shelf)
    asked = Question(
        spec=spec,
        inventory=inventory,
        seen=seen,
        runs=runs,
        now=now,
        offered=offered,
        availability=supply.availability,
        images=supply.images,
        refused=supply.refused,
        ignored=ignored,
    )
    if not _entered(seen):
        return judging.unknowable(asked, wanted or spec.kubernetes)
    choices = targets(now, offered) if comparable(now) else ()
    chosen, listed = judging.choose(asked, choices)
    made = chosen if wanted is None or wanted == chosen.wanted else judging.judge(asked, wanted)
    return replace(made, choices=listed)


class _Supply:
    """What can be had of each version, looked up once.

    Args:
        spec: says which registries have mirrors.
        inventory: the hosts.
        seen: says which architectures there are, and which images hosts have.
        remote_of: host name -> Remote.
        shelf: where parts come from.
    """

    def __init__(
        self, spec: ClusterSpec, inventory: Inventory, seen: Seen, remote_of: Callable[[str], Remote], shelf: Shelf
    ) -> None:
        self._spec = spec
        self._inventory = inventory
        self._hosts = [host for host in seen.hosts.values() if not host.why]
        self._remote_of = remote_of
        self._shelf = shelf
        self._found: dict[str, Mapping[str, Availability]] = {}
        self._answers: dict[str, Sequence[ImageAnswer]] = {}
        self._refused: dict[str, Mapping[str, tuple[str, ...]]] = {}

    def availability(self, version: str) -> Mapping[str, Availability]:
        """Return architecture -> what there is."""
        if version not in self._found:
            arches = sorted({host.arch for host in self._hosts if host.arch}) or [_ARCH]
            versions = versions_of(version)
            self._found[version] = {arch: self._shelf.look(versions, arch) for arch in arches}
        return self._found[version]

    def images(self, version: str) -> Sequence[ImageAnswer]:
        """Return what registries say of the images that nodes would pull, asked from the first node that answers."""
        if version not in self._answers:
            pulled = [one for one in self.availability(version).values() if one.pulls]
            wanted = {image: None for one in pulled for image in one.images.values()}
            nodes = [host for host in self._hosts if host.images]
            lacking = [image for image in wanted if any(image not in host.images for host in nodes)]
            self._answers[version] = self._ask(nodes[0].name, lacking) if nodes and lacking else ()
        return self._answers[version]

    def refused(self, version: str) -> Mapping[str, tuple[str, ...]]:
        """Return what the binaries of a version say against their arguments, asked where the first of them is there."""
        if version not in self._refused:
            images = image_references(versions_of(version))
            has = {host.name: host.images for host in self._hosts if images[API_SERVER] in host.images}
            planes = [host for host in self._inventory.control_planes if host.name in has]
            self._refused[version] = self._arguments(planes[0], version, images, has) if planes else {}
        return self._refused[version]

    def _arguments(
        self, host: Host, version: str, images: Mapping[str, str], has: Mapping[str, Collection[str]]
    ) -> Mapping[str, tuple[str, ...]]:
        spec = self._spec.model_copy(update={"kubernetes": version})
        try:
            remote = self._remote_of(host.name)
            return ask_arguments(remote, spec, self._inventory, host, images=images, here=has[host.name])
        except KubeforgeError:
            return {}  # each is asked again before anything of it changes

    def _ask(self, host: str, images: Sequence[str]) -> Sequence[ImageAnswer]:
        try:
            return ask_registries(self._remote_of(host), images, self._spec.containerd.mirrors)
        except KubeforgeError as error:
            return [ImageAnswer(image=image, host=host, there=None, why=error.cause) for image in images]


def _offered(shelf: Shelf) -> tuple[str, ...]:
    """Return the versions that can be had; a source that cannot be read says so when its parts are looked for."""
    try:
        return shelf.kubernetes()
    except ArtifactError:
        return ()


def _see(inventory: Inventory, spec: ClusterSpec, remote_of: Callable[[str], Remote]) -> Seen:
    status = look_at_status(inventory, spec, remote_of)
    reachable = {host.name for host in status.hosts if host.reachable}
    members = (*inventory.control_planes, *inventory.etcd_members, *inventory.workers)
    named = dict.fromkeys(host.name for host in members)
    silent = {host.name: host.problem for host in status.hosts if host.name in named and not host.reachable}
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        asked = [name for name in named if name in reachable]
        found = {one.name: one for one in pool.map(lambda name: _visit(name, remote_of), asked)}
    found |= {name: HostSeen(name=name, why=why) for name, why in silent.items()}
    planes = [host.name for host in inventory.control_planes if host.name in reachable]
    return Seen(status=status, hosts=found, kubernetes=_ask_api(status, planes, remote_of))


def _visit(name: str, remote_of: Callable[[str], Remote]) -> HostSeen:
    try:
        return probe.ask(remote_of(name))
    except KubeforgeError as error:
        return HostSeen(name=name, why=error.cause)


def _ask_api(status: ClusterStatus, planes: Sequence[str], remote_of: Callable[[str], Remote]) -> KubernetesSeen:
    """Ask the API where it answered just now."""
    if not status.kubernetes.version:
        return KubernetesSeen()
    try:
        turns = {name: partial(remote_of, name) for name in planes}
        servers = {name: partial(connect, [turn]) for name, turn in turns.items()}
        with closing(connect(turns.values())) as api:
            return kubernetes.ask(api, servers)
    except KubeforgeError as error:
        return KubernetesSeen(unasked=(f"the API: {error.cause}",))


def _entered(seen: Seen) -> bool:
    return any("control-plane" in host.roles and host.reachable for host in seen.status.hosts)
