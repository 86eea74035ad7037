"""An address that is borrowed on a real host: neighbours get no answer for it, and it goes however its unit ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kubeforge.errors import OperationFailed
from kubeforge.tasks.etcd_way import WAY, borrowed
from kubeforge.tasks.moving import Move
from kubeforge.transport.remote import ShellRemote
from tests.waiting import listening

pytestmark = pytest.mark.lab

OLD = "192.0.2.77"
LOOK = "ip -o address show dev lo; cat /proc/sys/net/ipv4/conf/all/arp_ignore"


def look(remote: ShellRemote) -> tuple[bool, bool]:
    """Return whether the host has the address, and whether it answers for addresses of its loopback."""
    said = remote.run(["sh", "-c", LOOK]).stdout.decode()
    return OLD in said, said.endswith("\n0\n")


@pytest.fixture
def remote(enter: Callable[[str], ShellRemote]) -> ShellRemote:
    return enter("root")


def test_it_is_given_back_again_and_again(remote: ShellRemote) -> None:
    """Once a shell did that itself; a signal beside another's end kept it from it, now and then."""
    for _ in range(20):
        with borrowed(remote, Move(host="cp1", old=OLD, new="127.0.0.1")):
            assert look(remote) == (True, False)
        assert look(remote) == (False, True)


def test_also_where_its_processes_are_killed(remote: ShellRemote) -> None:
    with borrowed(remote, Move(host="cp1", old=OLD, new="127.0.0.1")):
        remote.run(["systemctl", "kill", "--signal=KILL", WAY])
        remote.run(["systemctl", "stop", WAY], expect=(0, 5))
        assert look(remote) == (False, True)


@contextmanager
def echo(remote: ShellRemote, address: str) -> Iterator[None]:
    """Serve at a member's port what says again what it is told."""
    serve = ["systemd-socket-activate", "-l", f"{address}:2380", "--inetd", "-a", "cat"]
    remote.run(["systemd-run", "--quiet", "--collect", "--unit=kfit-echo", *serve])
    try:
        remote.run(["sh", "-c", listening(2380)])
        yield
    finally:
        remote.run(["systemctl", "stop", "kfit-echo"], expect=(0, 5))


def test_it_leads_to_the_new_one(remote: ShellRemote) -> None:
    """What answers at the new address answers at the old one."""
    with echo(remote, "127.0.0.1"), borrowed(remote, Move(host="cp1", old=OLD, new="127.0.0.1")):
        asked = f"exec 3<>/dev/tcp/{OLD}/2380; echo hello >&3; head -1 <&3"
        assert remote.run(["timeout", "10", "bash", "-c", asked]).stdout == b"hello\n"


def test_where_nothing_can_listen_there_is_no_way(remote: ShellRemote) -> None:
    way = borrowed(remote, Move(host="cp1", old=OLD, new="127.0.0.1"))
    with echo(remote, "0.0.0.0"), pytest.raises(OperationFailed, match=WAY), way:
        pytest.fail("another has the port")
    assert look(remote) == (False, True)
