"""A cluster of three control planes and a worker that lives in memory, and sessions whose plans say whom they reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from kubeforge import resources, tasks
from kubeforge.engine.events import ActionSaid
from kubeforge.engine.plan import Plan
from kubeforge.engine.run import Session
from kubeforge.inventory.membership import with_joining, with_leaving
from kubeforge.inventory.model import Inventory
from kubeforge.operations.model import Entry, Observation
from kubeforge.spec.model import EndpointKind
from kubeforge.spec.paths import KUBELET_CLIENT_CURRENT
from kubeforge.tasks import endpoint, kubelet, os
from tests.unit.tasks.conftest import parts
from tests.unit.tasks.memory_api import MemoryApi
from tests.unit.tasks.memory_etcd import MemoryEtcd

Make = Callable[..., Any]
PLANES = ("cp1", "cp2", "cp3")


class Fleet:
    """A cluster of three control planes and a worker that lives; sessions on it, and whom they reached."""

    def __init__(self, made: Any, api: MemoryApi) -> None:
        self.made, self.written = made, made.sample.inventory
        self.api = api
        self.kind = EndpointKind.LOCALHOST
        self.said: list[str] = []
        self.blocked = False
        self.reached: list[str] = []
        for name in self.written.hosts:
            made.apply(name, os.names)
        made.apply("w1", endpoint.balance)
        made.apply("w1", kubelet.configure)
        made.hosts["w1"].overlay(Observation(paths={KUBELET_CLIENT_CURRENT: Entry(0o100600)}))
        made.begin()
        self.etcd = MemoryEtcd(
            {name: made.hosts[name] for name in PLANES}, {name: self.written.hosts[name].address for name in PLANES}
        )

    def remote(self, host: str) -> Any:
        self.reached.append(host)
        return self.made.hosts[host]

    def release(self, host: str) -> None:
        pass

    def close(self) -> None:
        pass

    def open_stream(self, host: str, command: str) -> Any:
        raise AssertionError(f"{host}: {command}")

    def leaving(self, *names: str, dead: bool = False) -> Plan:
        """Plan that hosts leave."""
        return self.plan("node-remove", with_leaving(self.written, names, dead=dead, known=list(self.written.hosts)))

    def joining(self, *names: str) -> Plan:
        """Plan that hosts join which are written, and of which nothing is there yet."""
        known = [name for name in self.written.hosts if name not in names]
        return self.plan("node-add", with_joining(self.written, names, known=known))

    def plan(self, playbook: str, inventory: Inventory) -> Plan:
        with self.session(playbook, inventory) as session:
            plan = session.plan()
            self.blocked = session.blocked(plan)
            return plan

    def session(self, playbook: str, inventory: Inventory) -> Session:
        spec = self.made.sample.spec
        self.reached.clear()
        return Session(
            inventory=inventory,
            playbook=resources.playbook(playbook),
            registry=tasks.load(),
            spec=spec.model_copy(update={"endpoint": spec.endpoint.model_copy(update={"kind": self.kind})}),
            artifacts=parts(self.made.sample.images),
            remotes=self,
            sinks=[lambda event: self.said.append(event.message) if isinstance(event, ActionSaid) else None],
            reader=lambda remote, reads, _: (self.made.sample.facts[remote.host], remote.observe(reads)),
            exclusive=False,
            record=False,
        )


def node(name: str) -> Any:
    ready = {"type": "Ready", "status": "True"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "resourceVersion": "1"},
        "spec": {},
        "status": {"conditions": [ready], "nodeInfo": {"kubeletVersion": "v1.36.3"}},
    }


def steps(plan: Plan) -> dict[str, set[str]]:
    """Return host -> titles of its changes."""
    assert plan.failures == (), [failure.cause for failure in plan.failures]
    found: dict[str, set[str]] = {}
    for step in plan.steps:
        found.setdefault(step.host, set()).update(change.title for change in step.changes)
    return found
