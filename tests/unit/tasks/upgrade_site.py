"""A cluster in memory of one version that goes to another and back: tasks in the order of the playbooks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kubeforge.artifacts.model import LocalFile, Resolved
from kubeforge.engine.generations import LEDGER_QUERIES
from kubeforge.engine.model import Action
from kubeforge.operations.model import Entry, Observation, Operation, Queries, fold
from kubeforge.spec.paths import ETCD_MEMBER, ETCD_WAL, GENERATIONS, KUBELET_CLIENT_CURRENT, RUN_NOTE, STATE, STORE
from kubeforge.tasks import control_plane, etcd, images, kubelet, kubernetes, parking, pki, runtime, upgrade_record
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import RUNNING
from tests.unit.tasks.rolling_site import ECDSA, Make, talk

OLD, NEW = "1.35.4", "1.36.3"
UNITS = dict.fromkeys(("kubelet.service", "containerd.service"), RUNNING)
INSTALL = (runtime.install, kubernetes.install, etcd.install, images.load)
FOUND = (*INSTALL, pki.control_plane, kubelet.configure, etcd.member)
ROLL = (runtime.roll, etcd.roll, control_plane.roll, kubelet.roll)
ALSO = ("etcd", "etcdutl", "runc", "cni/bridge")
"""Programs that are others with each version here, as with some versions of Kubernetes."""
LISTED = "registry.example/present:1\n"


def versioned(parts: Resolved, version: str) -> Resolved:
    """Return parts whose Kubernetes programs and images are those of a version."""

    def of(name: str, part: LocalFile) -> LocalFile:
        word = f"{name} {version}" if name.startswith("kube") or name in ALSO else name
        return replace(part, path=Path("/nowhere") / name, sha256=hashlib.sha256(word.encode()).hexdigest())

    files = {key: of(key[0], part) for key, part in parts.files.items()}
    archives = {
        key: replace(archive, images={f"{key[0]}/image:{version}": "sha256:" + "0" * 64})
        for key, archive in parts.archives.items()
    }
    return replace(parts, files=files, archives=archives)


class Upgrading:
    """Hosts of a cluster of OLD, and what tasks of a run for a version do with them."""

    def __init__(self, site: Make, *, control_planes: int = 1) -> None:
        self._site, self._planes = site, control_planes
        self.ledgers: dict[str, Any] = {}
        self.made = self.of(OLD)
        for name in self.names:
            self.made.hosts[name].commands[("sh",)] = lambda _stdin: _listed()
            self.run(name, *FOUND, *((control_plane.server, control_plane.controllers) if name in self.planes else ()))
            # As it is once the kubelet has joined.
            self.made.hosts[name].overlay(
                Observation(
                    paths={ETCD_MEMBER: Entry(0o040700), ETCD_WAL: Entry(0o040700)} if name in self.planes else {}
                )
            )
            self.made.hosts[name].overlay(Observation(paths={KUBELET_CLIENT_CURRENT: Entry(0o100600)}, units=UNITS))

    def of(self, version: str, hosts: Any = None) -> Any:
        """Return the site as cluster.yml of a version has it, with the hosts there are."""
        made = self._site(version, control_planes=self._planes, workers=1, **ECDSA)
        if hosts is not None:
            made.hosts = hosts
        context = made.context
        made.context = lambda name, task, **values: self._as_begun(context(name, task, **values), version)
        return made

    def _as_begun(self, context: Any, version: str) -> Any:
        seen = {
            name: replace(one, contents={**one.contents, **self.ledgers.get(name, {})})
            for name, one in context.seen.items()
        }
        return replace(context, seen=seen, artifacts=versioned(context.parts, version))

    def go(self, version: str) -> None:
        """Begin a run for a version; the ledgers are read in its first round trip."""
        self.ledgers = {name: host.observe(LEDGER_QUERIES).contents for name, host in self.made.hosts.items()}
        self.made = self.of(version, self.made.hosts)

    @property
    def planes(self) -> list[str]:
        return [host.name for host in self.made.sample.inventory.control_planes]

    @property
    def names(self) -> list[str]:
        return [*self.planes, "w1"]

    def ask(self, name: str, *tasks: Any, **variables: str) -> list[Operation | Action]:
        return [item for task in tasks for item in self.made.ask(name, task, vars=variables)]

    def run(self, name: str, *tasks: Any, run_id: str = "r", **variables: str) -> list[str]:
        """Carry out the operations of tasks, each on what is there then; actions that end an API server, too."""
        host, titles = self.made.hosts[name], []
        for task in tasks:
            for item in self.ask(name, task, **variables):
                if isinstance(item, parking.ApiServerEnds):
                    if item.plan(talk(self.made, name)):
                        item.run(talk(self.made, name))
                elif isinstance(item, Operation):
                    seen = host.observe(Queries.merge([item.observe()]))
                    changes, _ = fold([item], seen)
                    host.act(changes, seen, run_id=run_id)
                    titles += [change.title for change in changes]
            self.made.begin()
        return titles

    def upgrade(self, version: str, names: Sequence[str] | None = None, **variables: str) -> None:
        """Do what the playbook does, as far as operations go."""
        self.go(version)
        for name in names or self.names:
            run_id = f"to-{version}"
            self.run(name, upgrade_record.begin, run_id=run_id, **variables)
            self.run(name, *INSTALL, run_id=run_id)
        for name in names or self.names:
            self.run(name, *ROLL, run_id=f"to-{version}")
            self._settle(name)
        for name in names or self.names:
            self.run(name, upgrade_record.finish, run_id=f"to-{version}", **variables)

    def _settle(self, name: str) -> None:
        """Forget what lies aside, as actions do that have seen what they waited for."""
        paths = self.made.hosts[name].state.paths
        gone = [path for path in paths if path.startswith(f"{STATE}/last-good")]
        self.made.hosts[name].overlay(Observation(paths=dict.fromkeys(gone)))

    def state(self) -> dict[str, dict[str, Any]]:
        """Return host -> path -> what is there, by digest or target; images, too, but not our notes and the store."""
        return {name: self._state(name) for name in self.names}

    def differences(self, before: dict[str, dict[str, Any]]) -> list[str]:
        """Return host and path of all that is not as it was."""
        now = self.state()
        both = ((name, path) for name in before for path in {*before[name], *now[name]})
        return sorted(f"{name}: {path}" for name, path in both if before[name].get(path) != now[name].get(path))

    def _state(self, name: str) -> dict[str, Any]:
        state = self.made.hosts[name].state
        # What nothing links to in the store goes with a later run.
        ours = (GENERATIONS, RUN_NOTE, STORE, f"{STATE}/last-good")
        told: dict[str, Any] = {
            path: (entry.mode, entry.target, state.hashes.get(path))
            for path, entry in state.paths.items()
            if isinstance(entry, Entry) and not path.startswith(ours)
        }
        return told | {f"image {one}": digest for one, digest in state.images.items() if digest}


def _listed() -> Any:
    return Completed(0, stdout=LISTED.encode())
