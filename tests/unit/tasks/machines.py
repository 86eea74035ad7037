"""Workers in memory that upgrade, reboot and report as real ones do, and the playbooks of maintenance run on them."""

from __future__ import annotations

from typing import Any

from kubeforge import tasks
from kubeforge.cluster import boots
from kubeforge.engine.events import ActionSaid, ChangeDone
from kubeforge.engine.plan import Plan
from kubeforge.engine.playbook import Portion
from kubeforge.engine.playbook_loader import load
from kubeforge.engine.result import RunResult
from kubeforge.engine.run import Session
from kubeforge.errors import ConnectionLost
from kubeforge.resources import playbook
from kubeforge.transport.base import Completed
from tests.unit.draining_api import DrainableApi, node, pod
from tests.unit.tasks.memory_api import FixedAccess

DUE, ASKS, DONE = "Inst libc6 [1.0] (1.1 Debian)\n", "reboot-required\n", "kernel 6.1.0-30-amd64\n"


class Machines:
    """Three workers in memory, which upgrade and reboot as real ones do."""

    def __init__(self, made: Any) -> None:
        self.made, self.hosts = made, made.hosts
        names = ("cp1", "w1", "w2", "w3")
        self.api = DrainableApi.of(*(node(name) for name in names), pod("a", on="w1"), pod("b", on="w2"))
        self.due: set[str] = set()
        self.mute: set[str] = set()
        self.log: list[str] = []
        self.boots: dict[str, int] = {}
        for name in names:
            self._prepare(name)

    def _prepare(self, name: str) -> None:
        host = self.hosts[name]
        self.boots[name] = 1
        host.commands[("sh",)] = lambda _: Completed(0, self._look(name).encode())
        host.commands["sh", "-c", boots._BOOT] = lambda _: Completed(0, f"id {self.boots[name]}".encode())
        host.commands["systemctl", "reboot"] = lambda _: self._reboot(name)
        self._report(name, "10:00")

    def _look(self, name: str) -> str:
        upgraded = any(change.title == "packages" for change in self.hosts[name].changes)
        if name not in self.due:
            return DONE
        return ASKS if upgraded else DUE

    def _reboot(self, name: str) -> Completed:
        self.boots[name] += 1
        self.due.discard(name)
        if name not in self.mute:
            self._report(name, "10:05")
        raise ConnectionLost("the connection broke", host=name)

    def _report(self, name: str, at: str) -> None:
        self.api.node(name)["status"]["conditions"][0]["lastHeartbeatTime"] = at

    # what a session asks for

    def remote(self, host: str) -> Any:
        return self.hosts[host]

    def open_stream(self, host: str, command: str) -> Any:
        raise NotImplementedError

    def release(self, host: str) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Nothing is held."""

    def run(self, book: str = "patch", *, serial: tuple[Portion, ...] = (), **variables: str) -> tuple[Plan, RunResult]:
        registry, sample = tasks.load(), self.made.sample
        self.log.clear()
        with Session(
            inventory=sample.inventory,
            playbook=load(playbook(book), registry).batched(serial),
            registry=registry,
            spec=sample.spec,
            sinks=[self._heard],
            variables=variables,
            remotes=self,
            reader=lambda remote, reads, _: (sample.facts[remote.host], remote.observe(reads)),
            exclusive=False,
            record=False,
        ) as session:
            session._vault.once("cluster.access", lambda: FixedAccess(self.api))
            plan = session.plan()
            return plan, session.apply(plan)

    def _heard(self, event: Any) -> None:
        if isinstance(event, ChangeDone):
            self.log.append(f"{event.host} {event.title}")
        if isinstance(event, ActionSaid) and event.message == "reboots":
            self.log.append(f"{event.host} reboots")
