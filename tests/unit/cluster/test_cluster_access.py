"""Whose kubeconfig is taken, and which API server is asked, on control planes in memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.cluster import access
from kubeforge.cluster.access import Access
from kubeforge.errors import ApiUnavailable
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import MemoryHost

Make = Callable[..., Any]
READ = ("sh", "-c", 'for file; do [ -r "$file" ] && exec cat "$file"; done; exit 66', "sh")
FILES = ("/etc/kubernetes/super-admin.conf", "/etc/kubernetes/admin.conf")


class FakeApi:
    """Remembers the ways and the credentials it was made with."""

    def __init__(self, openers: list[Callable[[], Any]], credentials: bytes) -> None:
        self.openers = openers
        self.credentials = credentials
        self.closed = False

    def close(self) -> None:
        self.closed = True


class FakeAccess(Access):
    """Gives fake clients."""

    def api(self, run: Any) -> Any:
        return super().api(run)

    def own(self, run: Any) -> Any:
        return super().own(run)


class Run:
    """The part of an ActionContext that access needs."""

    def __init__(self, sample: Any, hosts: dict[str, MemoryHost], host: str) -> None:
        self.context = type("C", (), {"inventory": sample.inventory, "host": sample.inventory.hosts[host]})
        self.remote_of = hosts.__getitem__


@pytest.fixture
def planes(sample: Make, monkeypatch: pytest.MonkeyPatch) -> tuple[Callable[[str], Run], dict[str, MemoryHost]]:
    """Three control planes, each with a kubeconfig that says its name."""
    monkeypatch.setattr(access, "Api", FakeApi)
    monkeypatch.setattr(access, "parse_kubeconfig", lambda secret: secret.reveal())
    cluster = sample(control_planes=3)
    hosts = {
        name: MemoryHost(name, commands={(*READ, *FILES): Completed(0, f"of {name}".encode(), b"")})
        for name in ("cp1", "cp2", "cp3")
    }
    return (lambda host: Run(cluster, hosts, host)), hosts


def test_the_first_control_planes_kubeconfig_serves_all(planes: Any) -> None:
    """Only the first has super-admin.conf, which works before there is any RBAC object."""
    run, _ = planes
    shared = FakeAccess()
    assert shared.api(run("cp3")).credentials == b"of cp1"
    assert shared.own(run("cp2")).credentials == b"of cp1"


def test_the_next_ones_where_the_first_is_gone(planes: Any) -> None:
    run, hosts = planes
    hosts["cp1"].unreachable = True
    assert FakeAccess().api(run("cp1")).credentials == b"of cp2"
    hosts["cp2"].commands[*READ, *FILES] = Completed(66)
    hosts["cp3"].unreachable = True
    with pytest.raises(ApiUnavailable):
        Access().api(run("cp1"))


def test_ones_own_api_server_is_asked_and_no_other(planes: Any) -> None:
    run, hosts = planes
    shared = FakeAccess()
    (opener,) = shared.own(run("cp2")).openers
    opened = []
    hosts["cp2"].tunnels["127.0.0.1", 6443] = lambda: opened.append("cp2")
    opener()
    assert opened == ["cp2"]
    assert len(shared.api(run("cp2")).openers) == 3
    assert shared.own(run("cp2")) is shared.own(run("cp2"))
    assert shared.own(run("cp2")) is not shared.own(run("cp3"))


def test_clients_are_renewed_once_a_run(planes: Any) -> None:
    """The hosts of a play all ask for it, while some use the new clients already."""
    run, _ = planes
    shared = FakeAccess()
    before, own = shared.api(run("cp1")), shared.own(run("cp1"))
    shared.renew()
    after = shared.api(run("cp2"))
    shared.renew()
    assert (before.closed, own.closed, after.closed) == (True, True, False)
    assert shared.api(run("cp3")) is after
