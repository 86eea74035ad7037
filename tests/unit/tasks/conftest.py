"""Makes contexts for tasks, and runs what they give on hosts in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from kubeforge.artifacts.model import ImageArchive, LocalFile, Resolved
from kubeforge.cluster import access
from kubeforge.engine.model import Action, Context
from kubeforge.engine.vault import OnceVault
from kubeforge.operations.model import Change, Entry, Observation, Operation, Queries, fold
from kubeforge.spec.paths import ETCD_MEMBER
from kubeforge.tasks import addons, etcd_runs, kubelet_rolled, reset, rolling
from kubeforge.tasks.etcd_runs import no_joiner
from kubeforge.transport.memory import RUNNING, MemoryHost
from tests.unit.tasks.memory_api import FixedAccess, MemoryApi
from tests.unit.tasks.rolling_site import ECDSA, FOUNDED, Make

PROGRAMS = (
    *("kubelet", "kubeadm", "kubectl", "etcd", "etcdctl", "etcdutl", "containerd", "containerd-shim-runc-v2"),
    *("ctr", "runc", "cni/bridge", "cni/loopback", "cni/host-local", "cni/portmap", "cni/flannel"),
)


class Site:
    """A cluster of hosts in memory; `context` is what a task of a run on it gets."""

    def __init__(self, sample: Any) -> None:
        self.sample = sample
        self.hosts = {name: MemoryHost(name) for name in sample.inventory.hosts}
        for host in self.hosts.values():
            host.overlay(Observation(tests={no_joiner().unless or (): 0}))
        self.fetched: list[tuple[str, str]] = []
        self.begin()

    def begin(self) -> None:
        """Begin another run: what was made once is forgotten."""
        self.vault = OnceVault(self._remote)

    def _remote(self, name: str) -> MemoryHost:
        outer = self

        class Watched(MemoryHost):
            def read(self, path: str) -> bytes:
                outer.fetched.append((name, path))
                return outer.hosts[name].read(path)

        return Watched(name)

    def context(self, name: str, task: Callable[..., Any], **values: Any) -> Context:
        reads = task.__kubeforge_task__.reads  # type: ignore[attr-defined]  # set by @task
        asked = (
            {one: reads(self.sample.inventory, self.sample.inventory.hosts[one]) for one in self.hosts} if reads else {}
        )
        seen = {one: host.observe(asked.get(one, Queries())) for one, host in self.hosts.items()}
        given: dict[str, Any] = {
            "host": self.sample.inventory.hosts[name],
            "inventory": self.sample.inventory,
            "facts": self.sample.facts,
            "seen": seen,
            "vault": self.vault,
            "spec": self.sample.spec,
            "artifacts": parts(self.sample.images),
        }
        return Context(**{**given, **values})

    def ask(
        self, name: str, task: Callable[..., Iterable[Operation | Action]], **values: Any
    ) -> list[Operation | Action]:
        return list(task(self.context(name, task, **values)))

    def operations(
        self, name: str, task: Callable[..., Iterable[Operation | Action]], **values: Any
    ) -> list[Operation]:
        return [item for item in self.ask(name, task, **values) if isinstance(item, Operation)]

    def changes(self, name: str, task: Callable[..., Iterable[Operation | Action]]) -> list[Change]:
        """Decide what a task gives, on what is on the host now."""
        return self._decide(name, task)[0]

    def apply(self, name: str, task: Callable[..., Iterable[Operation | Action]]) -> list[str]:
        """Carry a task out; return the titles of what changed."""
        changes, seen = self._decide(name, task)
        self.hosts[name].act(changes, seen, run_id="r")
        return [change.title for change in changes]

    def _decide(self, name: str, task: Callable[..., Any]) -> tuple[list[Change], Observation]:
        operations = self.operations(name, task)
        seen = self.hosts[name].observe(Queries.merge(operation.observe() for operation in operations))
        return fold(operations, seen)[0], seen


def parts(images: Mapping[str, str]) -> Resolved:
    """Return parts that are there by name only."""

    def local(name: str) -> LocalFile:
        return LocalFile(path=Path("/nowhere") / name, sha256=f"{abs(hash(name)):064x}"[:64], size=1)

    archives = {
        (name, "amd64"): ImageArchive(file=local(f"{name}.tar"), images={f"{name}/image:1": "sha256:" + "0" * 64})
        for name in ("control-plane", "node", "addons")
    }
    return Resolved(
        files={(name, "amd64"): local(name) for name in PROGRAMS}, archives=archives, images=images, source="source"
    )


@pytest.fixture
def site(sample: Callable[..., Any]) -> Callable[..., Site]:
    """Return the maker of sites: arguments as for `sample`."""
    return lambda *arguments, **values: Site(sample(*arguments, **values))


@pytest.fixture
def living_site(site: Make) -> Make:
    """Return `make(before, **after)`: a cluster that was founded with one spec and shall now have another."""

    def make(before: dict[str, Any] | None = None, *, control_planes: int = 1, **after: Any) -> Any:
        made = site(control_planes=control_planes, workers=1, **{**ECDSA, **(before or {})})
        planes = [host.name for host in made.sample.inventory.control_planes]
        for task in FOUNDED:
            decided = {name: made._decide(name, task) for name in planes}  # together, as a play does
            for name, (changes, seen) in decided.items():
                made.hosts[name].act(changes, seen, run_id="founded")
        for name in planes:
            made.hosts[name].overlay(
                Observation(paths={ETCD_MEMBER: Entry(0o040700)}, units={"kubelet.service": RUNNING})
            )
        wanted = site(control_planes=control_planes, workers=1, **{**ECDSA, **after})
        wanted.hosts = made.hosts
        return wanted

    return make


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rolling, "COMPONENT_DEADLINE", 0.2)
    monkeypatch.setattr(rolling, "GATE_DEADLINE", 0.2)
    monkeypatch.setattr(kubelet_rolled, "COMPONENT_DEADLINE", 0.2)
    monkeypatch.setattr(rolling, "component_log", lambda _remote, name: [f"{name}: no"])
    monkeypatch.setattr(kubelet_rolled, "kubelet_log", lambda _remote: ["kubelet: no"])
    monkeypatch.setattr(rolling, "processes", lambda *_, **__: ())
    monkeypatch.setattr(kubelet_rolled, "processes", lambda *_, **__: ())
    monkeypatch.setattr(rolling, "starts", lambda *_: 0)
    monkeypatch.setattr(rolling, "lacks_health", lambda _: None)
    monkeypatch.setattr(etcd_runs, "still_runs", lambda *_: "it still runs")


@pytest.fixture
def fleet(living_site: Make, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a cluster that lives, for whole playbooks over it; see tests.unit.tasks.fleet."""
    from tests.unit.tasks.fleet import Fleet, node  # it uses this module

    made, api = living_site(control_planes=3), MemoryApi()
    for name in made.sample.inventory.hosts:
        api.objects_["v1", "Node", "", name] = node(name)
    monkeypatch.setattr(access, "Access", lambda: FixedAccess(api))
    monkeypatch.setattr(reset, "connect", lambda _turns: api)
    monkeypatch.setattr(addons, "refused_proxy_config", lambda *_: [])
    return Fleet(made, api)
