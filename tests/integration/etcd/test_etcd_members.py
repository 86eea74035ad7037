"""Real etcd: what is said of members that serve, learn, or have lost data or quorum; and how one comes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.cluster.etcd import (
    Member,
    NotYet,
    add_learner,
    lacks_health,
    lives,
    members,
    promote,
    remove_member,
    revision,
)
from kubeforge.cluster.etcd_survey import Verdict, survey
from kubeforge.errors import OperationFailed
from tests.integration.etcd.conftest import free_ports

pytestmark = pytest.mark.lab

Make = Callable[[int], Any]


def until(made: Any, call: Callable[[], object]) -> object:
    """Call until etcd does not say `not yet` any more: it counts a peer only after five seconds of connection."""
    done: list[object] = []

    def attempt() -> bool:
        try:
            done.append(call())
        except NotYet:
            return False
        return True

    made.until(attempt)
    return done[0]


def known(made: Any, name: str) -> Member | None:
    return next((one for one in members(made.host("m0")) if made.peers[name] in one.peer_urls), None)


def test_founders_that_start_one_after_the_other_do_not_wait_for_each_other(members: Make) -> None:
    """Together they do: InitialCorruptCheck gives each peer that listens and does not serve yet seven seconds."""
    made = members(3)
    began = time.monotonic()
    made.chain()
    for name in made.names:
        made.until(lambda name=name: lacks_health(made.host(name)) is None)
    chained = time.monotonic() - began
    log = (made.folder / "m2.log").read_text()
    assert "initial corruption checking passed" in log
    assert "context deadline exceeded" not in log, f"it waited for a peer; all in all {chained:.1f} s"


def test_without_data_and_with_all_peers_named_it_comes_in_under_its_old_id_and_dies(three: Any) -> None:
    """Why a settled member names itself alone (ADR 0060)."""
    three.lose("m2")
    three.start("m2")
    assert three.processes["m2"].wait(20) != 0
    assert b"Was the raft log corrupted, truncated, or lost?" in (three.folder / "m2.log").read_bytes()
    assert (three.folder / "m2/member/wal").is_dir(), "and leaves what looks like data"


def test_without_data_and_named_alone_it_refuses(three: Any) -> None:
    three.lose("m2")
    three.start("m2", cluster=three.settled("m2"))
    assert three.processes["m2"].wait(20) != 0
    assert (three.folder / "m2/member/snap").is_dir()
    assert not (three.folder / "m2/member/wal").exists(), "the one sign of data"
    (found,) = [one for one in survey(three.names, three.host).standings if one.host == "m2"]
    assert found.has_data is False
    assert survey(three.names, three.host).verdict is Verdict.SERVES


def test_the_way_back(three: Any) -> None:
    """Out with the old id, in as a learner, settled while it does not vote, promoted."""
    three.lose("m2")
    old = known(three, "m2")
    assert old is not None
    until(three, lambda: remove_member(three.host("m0"), old))
    assert known(three, "m2") is None
    listed = until(three, lambda: add_learner(three.host("m0"), "m2", three.peers["m2"]))
    assert isinstance(listed, tuple)
    assert sorted(one.name for one in listed) == ["m0", "m1", "m2"]
    with pytest.raises(OperationFailed, match="already exist"):
        add_learner(three.host("m0"), "m2", three.peers["m2"])
    three.start("m2", cluster=",".join(f"{one.name}={one.peer_urls[0]}" for one in listed))
    three.until(lambda: (entry := known(three, "m2")) is not None and entry.name)
    three.until(lambda: "non_learner" in str(lacks_health(three.host("m2"))))
    assert lives(three.host("m2"))
    three.stop("m2")
    three.start("m2", cluster=three.settled("m2"))
    learner = known(three, "m2")
    assert learner is not None
    assert learner.learner
    assert learner.id != old.id
    until(three, lambda: promote(three.host("m0"), learner))
    three.until(lambda: lacks_health(three.host("m2")) is None)
    assert three.ask("m2", "get", "k4", "--print-value-only").stdout == "v\n"
    with pytest.raises(OperationFailed, match="can only promote a learner"):
        promote(three.host("m0"), learner)


def test_quorum_lost(three: Any) -> None:
    three.lose("m1")
    three.lose("m2")
    three.until(lambda: "NO LEADER" in str(lacks_health(three.host("m0"))))
    assert lives(three.host("m0"))
    found = survey(three.names, three.host)
    assert found.verdict is Verdict.LOST
    assert [one.revision for one in found.standings] == [6, None, None]
    with pytest.raises(NotYet):
        members(three.host("m0"))
    three.stop("m0")
    assert revision(three.host("m0")) == 6, "etcdutl reads what a member that does not run has"
    assert survey(three.names, three.host).verdict is Verdict.LOST


@pytest.mark.parametrize("runs", [True, False])
def test_founded_and_never_begun(members: Make, runs: bool) -> None:
    made = members(3)
    made.found("m0")
    if runs:
        made.start("m0")
        made.until(lambda: lives(made.host("m0")))
    assert revision(made.host("m0")) == 1
    assert survey(made.names, made.host).verdict is Verdict.UNBORN


def test_members_that_do_not_run_but_have_their_data(three: Any) -> None:
    three.stop("m1")
    three.stop("m2")
    three.until(lambda: lacks_health(three.host("m0")) is not None)
    assert survey(three.names, three.host).verdict is Verdict.STARTS


def test_a_member_that_has_started_and_does_not_answer_yet(members: Make) -> None:
    """It holds its database, and etcdutl would wait for it without end."""
    made = members(1)
    made.found("m0")
    made.start("m0")
    made.until(lambda: lives(made.host("m0")))
    made.metrics["m0"] = free_ports(1)[0]
    began = time.monotonic()
    assert revision(made.host("m0")) is None
    assert time.monotonic() - began < 20
