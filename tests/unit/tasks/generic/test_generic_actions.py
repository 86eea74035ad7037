"""Waiting, rebooting, fetching, asserting, saying: actions over a host in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from kubeforge.cluster.boots import _BOOT
from kubeforge.engine.events import ActionSaid
from kubeforge.errors import ConnectionLost, DeadlineExceeded, UnfitHost
from kubeforge.secret import Secret
from kubeforge.tasks.generic.reboots import _REQUIRED
from kubeforge.transport.base import Completed

PLAY = "- {{play: A, hosts: all, tasks: [{0}]}}"


class Stream:
    def close(self) -> None: ...


def say(site: Any, call: str) -> list[str]:
    said: list[str] = []
    with site.session(PLAY.format(call)) as session:
        session.events.add(lambda event: said.append(event.message) if isinstance(event, ActionSaid) else None)
        plan = session.plan()
        assert plan.steps == ()
        assert plan.failures == ()
    return said


def test_ports(site: Any) -> None:
    with site.session(PLAY.format("wait.port: {port: 80, deadline: 0.1}")) as session:
        plan = session.plan()
        assert [change.why for step in plan.steps for change in step.changes] == ["nobody listens there"]
        (failure,) = session.apply(plan).failures
    assert failure.exit_code == DeadlineExceeded.exit_code
    assert "wait for 127.0.0.1:80 open" in failure.cause
    site.host.tunnels["127.0.0.1", 80] = Stream
    site.run(PLAY.format("wait.port: {port: 80}"))
    assert "somebody listens there" in str(session_of(site, "wait.port: {port: 80, state: closed}"))


def session_of(site: Any, call: str) -> Any:
    with site.session(PLAY.format(call)) as session:
        return session.plan()


def test_what_is_planned_before_is_waited_for(site: Any) -> None:
    site.host.commands["test", "-e", "/etc/ready"] = lambda _: Completed(
        0 if site.host.state.paths.get("/etc/ready") else 1
    )
    calls = "file.present: {path: /etc/ready, content: 'now ready'}, wait.file: {path: /etc/ready, contains: ready$}"
    plan = site.run(
        PLAY.format(", ".join(f"{{{call}}}" for call in calls.split(", wait."))).replace("{file:", "{wait.file:")
    )
    assert [change.why for step in plan.steps for change in step.changes][1] == "is asked after what is planned before"


def test_http(site: Any) -> None:
    asked = (
        "curl", "--silent", "--show-error", "--max-time", "10", "--output", "/dev/null", "--write-out", "%{http_code}",
        "--", "http://localhost/",
    )  # fmt: skip
    call = "wait.http: {url: 'http://localhost/', status: [200, 204]}"
    for done, why in (
        (Completed(0, b"503"), "answers 503"),
        (Completed(7, b"000", b"curl: (7) refused\n"), "curl: (7) refused"),
    ):
        site.host.commands[asked] = done
        assert why in str(session_of(site, call))
    site.host.commands[asked] = Completed(0, b"204")
    site.run(PLAY.format(call))
    del site.host.commands[asked]
    assert "curl is missing" in site.fails(PLAY.format(call))


def test_reboots(site: Any) -> None:
    required, boot = ("sh", "-c", _REQUIRED), ("sh", "-c", _BOOT)
    site.host.commands[boot] = Completed(0, b"one\n25\n")

    def down(_: bytes) -> Completed:
        site.host.commands[boot] = Completed(0, b"two\n25\n")
        site.host.commands[required] = Completed(1)
        raise ConnectionLost("gone", host="web1")

    site.host.commands |= {
        required: Completed(0),
        ("systemctl", "--no-block", "reboot"): down,
        ("systemctl", "is-system-running"): Completed(1, b"degraded\n"),
    }
    plan = site.run(PLAY.format("host.reboot"))
    assert plan.steps[0].changes[0].why == "the host says that it needs it"
    assert ("systemctl", "--no-block", "reboot") in site.host.ran


def test_a_reboot_that_may_come_to_be_needed(site: Any) -> None:
    site.host.commands["sh", "-c", _REQUIRED] = Completed(1)
    plan = site.run(PLAY.format("{file.present: {path: /etc/x}}, host.reboot"))
    assert "only if the host needs it then" in plan.steps[1].changes[0].why
    assert ("systemctl", "--no-block", "reboot") not in site.host.ran


def test_fetching(site: Any) -> None:
    site.host.put("/etc/x", b"x\n")
    site.run(PLAY.format("file.fetch: {src: /etc/x, dest: got}"))
    got: Path = site.folder / "got" / "web1" / "etc" / "x"
    assert got.read_bytes() == b"x\n"
    assert got.stat().st_mode & 0o777 == 0o600
    site.run(PLAY.format("file.fetch: {src: /etc/x, dest: flat, flat: true}"))
    assert (site.folder / "flat").read_bytes() == b"x\n"
    assert "is missing" in site.fails(PLAY.format("file.fetch: {src: /etc/none, dest: got}"))


def test_assertions(site: Any) -> None:
    site.run(PLAY.format("check.that: {that: '{{ facts.memory > 1000 }}'}"))
    said = site.fails(PLAY.format("check.that: {that: ['{{ facts.cpus > 1 }}', '{{ facts.cpus > 99 }}']}"))
    assert "(2 of 2)" in said
    with pytest.raises(UnfitHost, match="buy more"):
        site.ask("check.that", that=False, message="buy more")
    assert "yes or no or list is expected" in site.fails(PLAY.format("check.that: {that: '{{ facts.os_name }}'}"))


def test_saying(site: Any) -> None:
    site.variables["password"] = Secret("hunter22")
    assert say(site, "debug.say: {message: 'on {{ inventory_hostname }}'}") == ["on web1"]
    assert say(site, "debug.say: {message: '{{ password }}'}") == ['"••••••"']
    assert say(site, "debug.say: {message: 'pw {{ password }}'}") == ['"••••••"']
    (facts,) = say(site, "debug.facts: {only: [os_id, os_like]}")
    assert facts == '{"os_id": "debian", "os_like": ["debian"]}'
