"""Real etcd: members that all have other addresses, and what brings them together. The rules that ADR 0078 stands on.

Here an address is a port of loopback, and the forwarder is systemd's own, as on a host.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from kubeforge.cluster.etcd import NotYet, lacks_health, lives, members, update_member
from kubeforge.errors import OperationFailed
from tests.integration.etcd.conftest import free_ports

pytestmark = pytest.mark.lab

Make = Callable[[int], Any]
PROXY = next((path for path in map(Path, ("/lib/systemd/systemd-socket-proxyd",)) if path.exists()), None)


def move(made: Any, *names: str) -> dict[str, str]:
    """End all members and start them again, some of them at other addresses; return those they had."""
    before = {name: made.peers[name] for name in names}
    restart(made, {name: f"http://127.0.0.1:{port}" for name, port in zip(names, free_ports(len(names)), strict=True)})
    return before


def restart(made: Any, peers: dict[str, str]) -> None:
    """End all members and start them again, some of them at these addresses."""
    for name in made.names:
        made.stop(name)
    made.peers.update(peers)
    for name in made.names:
        made.start(name, cluster=made.settled(name))
    for name in made.names:
        made.until(lambda name=name: lives(made.host(name)))


def serving(made: Any) -> list[str]:
    """Return the members that have a leader."""
    return [name for name in made.names if lacks_health(made.host(name)) is None]


def tell(made: Any, *names: str) -> None:
    """Tell the members where some of them are now, by one of those that serve."""
    for name in names:

        def told(name: str = name) -> bool:
            peer = next(map(made.host, serving(made)), None)
            if peer is None:
                return False
            try:
                known = next(one for one in members(peer) if one.name == name)
                if known.peer_urls == (made.peers[name],):
                    return True
                update_member(peer, known, made.peers[name])
            except NotYet:
                return False
            return False

        made.until(told)


@contextmanager
def forwarded(old: str, new: str) -> Iterator[None]:
    """Lead connections to one URL to another."""
    ends = [url.removeprefix("http://") for url in (old, new)]
    argv = ["systemd-socket-activate", f"--listen={ends[0]}", str(PROXY), ends[1]]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


def whole(made: Any) -> bool:
    """Whether all serve, know one another, and have every key."""
    if any(lacks_health(made.host(name)) is not None for name in made.names):
        return False
    known = {one.name: one.peer_urls for one in members(made.host("m0"))}
    keys = made.ask("m2", "get", "k", "--prefix", "--keys-only").stdout.split()
    return known == {name: (made.peers[name],) for name in made.names} and len(keys) == 5


def ids(made: Any) -> set[str]:
    return {one.id for one in members(made.host("m0"))}


@pytest.mark.skipif(PROXY is None, reason="systemd-socket-proxyd is not here")
def test_all_moved_find_one_another_by_one_borrowed_address(three: Any) -> None:
    before = ids(three)
    old = move(three, "m0", "m1", "m2")
    assert all("LEADER" in str(lacks_health(three.host(name))).upper() for name in three.names)
    with forwarded(old["m0"], three.peers["m0"]):
        # Whether all three serve is a matter of who leads: m1 and m2 find m0 only, so m1 misses a leader m2.
        three.until(lambda: len(serving(three)) > 1)
        tell(three, "m0", "m1", "m2")
    three.until(lambda: whole(three))
    assert ids(three) == before, "it is the same raft: nothing was restored, nobody was removed"


@pytest.mark.parametrize("names", [("m1",), ("m0", "m2")])
def test_where_one_kept_its_address_they_find_one_another(three: Any, names: tuple[str, ...]) -> None:
    before = ids(three)
    move(three, *names)
    three.until(lambda: lacks_health(three.host("m1")) is None)
    tell(three, *names)
    three.until(lambda: whole(three))
    assert ids(three) == before


def test_who_took_each_others_addresses_are_told_by_way_of_a_third(three: Any) -> None:
    """etcd knows no two members by one URL, not even for a moment."""
    before, first, second = ids(three), three.peers["m0"], three.peers["m1"]
    restart(three, {"m0": second, "m1": first})
    three.until(lambda: lacks_health(three.host("m2")) is None)
    moved = next(one for one in members(three.host("m2")) if one.name == "m0")
    with pytest.raises(OperationFailed, match="Peer URLs already exists"):
        update_member(three.host("m2"), moved, second)
    three.peers["m1"] = "http://127.0.0.1:1"
    tell(three, "m1")
    three.peers["m1"] = first
    tell(three, "m0", "m1")
    three.until(lambda: whole(three))
    assert ids(three) == before


def test_a_member_alone_is_told_its_own(members: Make) -> None:
    made = members(1)
    made.chain()
    move(made, "m0")
    made.until(lambda: lacks_health(made.host("m0")) is None)
    tell(made, "m0")
    (known,) = members_of(made)
    assert known.peer_urls == (made.peers["m0"],)


def members_of(made: Any) -> Any:
    return members(made.host("m0"))
