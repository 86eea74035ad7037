"""Patching: what a host's look asks for, and the way of one host from its gate to its uncordon."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.cluster import boots
from kubeforge.engine.conversation import Conversation
from kubeforge.engine.events import ActionSaid, Events
from kubeforge.engine.model import Action
from kubeforge.errors import ConnectionLost, DeadlineExceeded, InputError, OperationFailed, UnfitHost
from kubeforge.operations.model import Observation
from kubeforge.operations.system_upgrade import look_script, reboot_script
from kubeforge.tasks import host_back, patch
from kubeforge.tasks.drain import Drain
from kubeforge.tasks.host_back import Back, heartbeats
from kubeforge.tasks.patch import AWAY, DRAIN, REBOOT, Packages
from kubeforge.tasks.reboot import Reboot
from kubeforge.tasks.rolling import Spared
from kubeforge.transport.base import Completed
from tests.unit.draining_api import DrainableApi, node
from tests.unit.tasks.memory_api import FixedAccess

Make = Callable[..., Any]
KERNEL = "kernel 6.1.0-30-amd64\n"
DUE = KERNEL + "Inst libc6 [1.0] (1.1 Debian)\nInst linux-image-31 (6.1 Debian)\n"
ASKS = KERNEL + "reboot-required\n"
WAY = (patch.check, patch.gate, patch.drain, patch.packages, patch.reboot, patch.serves)
BOOT = ("sh", "-c", boots._BOOT)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_back, "NODE_DEADLINE", 0.3)
    monkeypatch.setattr(host_back, "kubelet_log", lambda _: ["kubelet: no"])


class Site:
    """A site whose hosts say what apt says."""

    def __init__(self, made: Any, api: DrainableApi) -> None:
        self.made, self.api, self.said = made, api, list[str]()
        made.vault.once("cluster.access", lambda: FixedAccess(api))

    def looks(self, name: str, text: str) -> None:
        """What every script that is asked there is answered with."""
        self.made.hosts[name].commands["sh",] = Completed(0, text.encode())

    def way(self, name: str, **values: Any) -> list[Action]:
        return [item for task in WAY for item in self.made.ask(name, task, vars=values)]

    def talk(self, name: str, *, changed: frozenset[str] = frozenset(), connect: Any = None) -> Conversation:
        def heard(event: Any) -> None:
            if isinstance(event, ActionSaid):
                self.said.append(event.message)

        return Conversation(
            context=self.made.context(name, patch.serves),
            title="t",
            expected=Observation(changed=changed),
            pending=bool(changed),
            connect=connect or (lambda host: self.made.hosts[host]),
            events=Events([heard]),
            stopping=lambda: False,
            run_id="r1",
        )


@pytest.fixture
def patched(site: Make) -> Make:
    def make(text: str = KERNEL, **values: Any) -> Site:
        made = Site(site(**values), DrainableApi.of(node("w1"), node("cp1")))
        for name in made.made.hosts:
            made.looks(name, text)
        return made

    return make


def kinds(actions: list[Action]) -> list[type[Action]]:
    return [type(action) for action in actions]


@pytest.mark.parametrize(
    ("text", "values", "given"),
    [
        (KERNEL, {}, [Back]),
        (DUE, {}, [Drain, Packages, Reboot, Back]),
        (DUE, {DRAIN: "no"}, [Packages, Reboot, Back]),
        (DUE, {REBOOT: "never"}, [Drain, Packages, Back]),
        (ASKS, {}, [Drain, Reboot, Back]),
        (ASKS, {REBOOT: "never"}, [Back]),
        (KERNEL, {REBOOT: "always"}, [Drain, Reboot, Back]),
        (KERNEL + "broken\nhalf libfoo1\n", {}, [Drain, Packages, Reboot, Back]),
    ],
)
def test_what_a_worker_goes_through(patched: Make, text: str, values: Any, given: Any) -> None:
    assert kinds(patched(text).way("w1", **values)) == given


def test_a_control_plane_waits_for_its_gate(patched: Make) -> None:
    way = patched(DUE, control_planes=3).way("cp2")
    assert kinds(way) == [Spared, Drain, Packages, Reboot, Back]
    assert way[0].etcd
    assert [address for address, _ in way[0].servers] == ["192.0.2.11", "192.0.2.12", "192.0.2.13"]
    back = way[-1]
    assert (back.node, back.etcd, back.server["metadata"]["name"]) == ("cp2", True, "kube-apiserver")


def test_hosts_that_are_no_nodes_are_not_drained(patched: Make) -> None:
    made = patched(DUE, etcd_hosts=3, load_balancers=1)
    assert kinds(made.way("e1")) == [Spared, Packages, Reboot, Back]
    assert kinds(made.way("lb1")) == [Packages, Reboot, Back]


@pytest.mark.parametrize(
    ("text", "cause", "evidence"),
    [
        ("no-apt\n", "it has no apt", ()),
        ("error Failed to fetch file:/n\n", "its packages cannot be upgraded", ("Failed to fetch file:/n",)),
        ("refused Unmet dependencies\n", "its packages cannot be upgraded", ("Unmet dependencies",)),
    ],
)
def test_a_host_that_cannot_be_patched_is_refused(patched: Make, text: str, cause: str, evidence: Any) -> None:
    with pytest.raises(UnfitHost, match=cause) as caught:
        patched(text).made.ask("w1", patch.check)
    assert caught.value.evidence == evidence
    assert caught.value.host == "w1"


def test_a_wrong_word_about_reboots(patched: Make) -> None:
    with pytest.raises(InputError) as caught:
        patched().made.ask("w1", patch.check, vars={REBOOT: "perhaps"})
    assert "auto, always, never" in caught.value.problems[0].message


def test_packages_are_named_one_by_one(patched: Make) -> None:
    made = patched(DUE)
    (packages,) = made.made.ask("w1", patch.packages)
    changes = packages.plan(made.talk("w1"))
    assert [(change.title, change.why) for change in changes] == [
        ("package libc6", "1.0 becomes 1.1"),
        ("package linux-image-31", "6.1 is needed by others"),
    ]
    assert packages.run(made.talk("w1")) == changes
    (done,) = made.made.hosts["w1"].changes
    assert done.title == "packages"


def test_an_interrupted_dpkg_is_told(patched: Make) -> None:
    made = patched("broken\nhalf libfoo1\n")
    (packages,) = made.made.ask("w1", patch.packages)
    (change,) = packages.plan(made.talk("w1"))
    assert change.why.startswith("was interrupted (libfoo1): it is brought to its end")


def test_somebody_elses_installation_is_told(patched: Make) -> None:
    made = patched("busy\n" + DUE)
    (packages,) = made.made.ask("w1", patch.packages)
    packages.plan(made.talk("w1"))
    assert made.said == ["warning: somebody else installs packages there just now; they are waited for"]


def test_somebody_elses_installation_is_waited_for(patched: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patch, "APT_DEADLINE", 0.2)
    made = patched(DUE)
    (packages,) = made.made.ask("w1", patch.packages)
    made.looks("w1", "busy\n")
    told = b"12 00:05 /usr/bin/dpkg --unpack\n13 01:00 sshd\n"
    made.made.hosts["w1"].commands["ps", "-eo", "pid,etime,args"] = Completed(0, told)
    with pytest.raises(DeadlineExceeded, match="nobody else installs packages") as caught:
        packages.run(made.talk("w1"))
    assert caught.value.evidence == ("12 00:05 /usr/bin/dpkg --unpack",)
    assert made.made.hosts["w1"].changes == []


def test_what_somebody_else_has_upgraded_meanwhile_is_not_ours(patched: Make) -> None:
    made = patched(DUE)
    (packages,) = made.made.ask("w1", patch.packages)
    made.looks("w1", KERNEL)
    assert packages.run(made.talk("w1")) == []
    assert made.made.hosts["w1"].changes == []


def test_what_apt_says_when_it_fails(patched: Make) -> None:
    made = patched(DUE)
    made.made.hosts["w1"].fail = {"packages": 100}
    (packages,) = made.made.ask("w1", patch.packages)
    with pytest.raises(OperationFailed, match="packages ended with status 100") as caught:
        packages.run(made.talk("w1"))
    assert "it goes on from here" in str(caught.value.remedy)


class Rebooting:
    """A host that goes when it is told to, and answers again after some tries."""

    def __init__(self, made: Site, *, away: int = 2, back: str = "id\n2\n") -> None:
        self.host, self.away, self.back, self.gone = made.made.hosts["w1"], away, back, False
        self.host.commands[BOOT] = Completed(0, b"id\n1\n")
        self.host.commands["systemctl", "reboot"] = self._go

    def _go(self, _: bytes) -> Completed:
        self.gone = True
        raise ConnectionLost("the connection broke", host="w1")

    def connect(self, _: str) -> Any:
        if self.gone:
            self.away -= 1
            self.host.unreachable = self.away >= 0
            self.host.commands[BOOT] = Completed(0, self.back.encode())
        return self.host


def test_a_reboot_is_waited_for(patched: Make) -> None:
    made = patched(ASKS)
    host = Rebooting(made)
    (reboot,) = made.made.ask("w1", patch.reboot)
    assert [change.why for change in reboot.plan(made.talk("w1"))] == ["its packages ask for it"]
    run = made.talk("w1", connect=host.connect)
    assert [change.title for change in reboot.run(run)] == ["reboot"]
    assert made.said == ["reboots", "went down while it was told to"]
    assert heartbeats(run.context) == {"w1": ""}


def test_packages_that_ask_for_no_reboot_after_all(patched: Make) -> None:
    made = patched(DUE)
    (reboot,) = made.made.ask("w1", patch.reboot)
    (change,) = reboot.plan(made.talk("w1"))
    assert change.why == "where the upgraded packages ask for it: not known yet"
    assert reboot.run(made.talk("w1")) == []
    assert made.said == ["no reboot is needed"]
    assert ("systemctl", "reboot") not in made.made.hosts["w1"].ran


@pytest.mark.parametrize(
    ("values", "why"),
    [({"away": 10**6}, "it does not answer: cannot be reached"), ({"back": "id\n1\n"}, "it has not gone down yet")],
)
def test_a_host_that_does_not_come_back(patched: Make, values: Any, why: str) -> None:
    made = patched(ASKS)
    (reboot,) = made.made.ask("w1", patch.reboot, vars={AWAY: 0.3})
    with pytest.raises(DeadlineExceeded, match=why) as caught:
        reboot.run(made.talk("w1", connect=Rebooting(made, **values).connect))
    assert "it goes on from here" in str(caught.value.remedy)


def test_asked_for_it_reboots_whatever_it_says(patched: Make) -> None:
    made = patched()
    (reboot,) = made.made.ask("w1", patch.reboot, vars={REBOOT: "always"})
    assert [change.why for change in reboot.run(made.talk("w1", connect=Rebooting(made).connect))] == ["is asked for"]


@pytest.mark.parametrize(
    ("live", "changed", "due"),
    [
        (node("w1"), frozenset(), False),
        (node("w1"), frozenset({"reboot"}), True),
        (node("w1", cordoned=True), frozenset(), False),
        (node("w1", by="r0"), frozenset(), True),
    ],
)
def test_who_is_waited_for(patched: Make, live: Any, changed: frozenset[str], due: bool) -> None:
    made = patched()
    made.api.objects_["v1", "Node", "", "w1"] = live
    assert bool(Back(node="w1").plan(made.talk("w1", changed=changed))) is due


def test_a_node_that_has_not_reported_since_is_not_back(patched: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_back, "lacks_kubelet", lambda *_: None)
    made = patched()
    live = made.api.node("w1")
    live["status"]["conditions"][0]["lastHeartbeatTime"] = "10:00"
    run = made.talk("w1")
    heartbeats(run.context)["w1"] = "10:00"
    with pytest.raises(DeadlineExceeded, match="its kubelet has not reported since") as caught:
        Back(node="w1").run(run)
    assert caught.value.evidence == ("kubelet: no",)
    live["status"]["conditions"][0]["lastHeartbeatTime"] = "10:05"
    assert [change.why for change in Back(node="w1").run(run)] == ["wait until the node is Ready"]


def test_every_look_is_asked_by_its_tasks(site: Make) -> None:
    made = site()
    for task in (patch.check, patch.gate, patch.drain, patch.packages, patch.reboot):
        reads = task.__kubeforge_task__.reads  # type: ignore[attr-defined]  # set by @task
        assert reads(made.sample.inventory, made.sample.first).outputs == (look_script(),)
    assert reboot_script().strip() in look_script()
