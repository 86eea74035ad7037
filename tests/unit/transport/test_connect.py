"""The connections of a run: opened once, opened anew where they have died, and what is said where they cannot be."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from kubeforge.errors import ConnectionFailed, ConnectionLost, HostKeyRefused
from kubeforge.inventory.model import Connection, Host
from kubeforge.transport.connect import Connections
from kubeforge.transport.local import LocalTransport

HOST = Host(name="w1", connection=Connection(address="192.0.2.1"))
REFUSED = ConnectionFailed("192.0.2.1 port 22 refuses the connection", host="w1", step="connect", remedy="start sshd")


class Transport(LocalTransport):
    """One whose connection can die."""

    alive = True


@dataclass
class Opener:
    """Opens transports, or fails as it is told."""

    fails: ConnectionFailed | None = None
    opened: list[Transport] = field(default_factory=list)

    def __call__(self, host: Host) -> Transport:
        if self.fails is not None:
            raise self.fails
        self.opened.append(Transport(host.name))
        return self.opened[-1]


def test_a_connection_is_kept_and_a_dead_one_opened_anew() -> None:
    opener = Opener()
    connections = Connections(opener)
    first = connections.get(HOST)
    assert connections.get(HOST) is first
    opener.opened[0].alive = False
    assert connections.get(HOST) is not first
    assert len(opener.opened) == 2


def test_a_host_that_was_never_entered_says_why() -> None:
    with pytest.raises(ConnectionFailed, match="refuses") as caught:
        Connections(Opener(fails=REFUSED)).get(HOST)
    assert caught.value is REFUSED


@pytest.mark.parametrize("dropped", [False, True])
def test_a_host_that_was_there_has_been_lost(dropped: bool) -> None:
    """A dying host refuses connections for a moment: its message told to start sshd, and named no step."""
    opener = Opener()
    connections = Connections(opener)
    connections.get(HOST)
    if dropped:
        connections.drop(HOST.name)
    opener.opened[0].alive, opener.fails = False, REFUSED
    for _ in range(2):
        with pytest.raises(ConnectionLost) as caught:
            connections.get(HOST)
        assert caught.value.cause == f"the connection is gone, and there is no new one: {REFUSED.cause}"
        assert (caught.value.host, caught.value.step) == ("w1", None), "the step that was going on is filled in above"
        assert caught.value.remedy == "see that the host is up, then run again"
    opener.fails = None
    assert connections.get(HOST) is opener.opened[-1]


def test_a_host_that_came_back_as_another_says_so() -> None:
    opener = Opener()
    connections = Connections(opener)
    connections.get(HOST)
    opener.opened[0].alive, opener.fails = False, HostKeyRefused("its key has changed", host="w1", step="connect")
    with pytest.raises(HostKeyRefused, match="its key has changed"):
        connections.get(HOST)
