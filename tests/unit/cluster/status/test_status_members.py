"""etcd's members, put together from what each host says. The answers are those of etcdctl 3.6.16."""

from __future__ import annotations

import json
from typing import Any

from kubeforge.cluster.status.members import etcd_of
from kubeforge.cluster.status.probe import Answer
from kubeforge.cluster.status.rows import Etcd
from tests.conftest import make_sample

HOSTS = make_sample(control_planes=3, workers=0).inventory.etcd_members
IDS = {"cp1": 0x8E9E05C52164694D, "cp2": 0x91BC3C398FB3C146, "cp3": 0xFD422379FDA50E48}
REFUSED = (
    '{"level":"warn","ts":"2026-11-21T16:00:00Z","msg":"retrying of unary invoker failed"}\n'
    "Failed to get the status of endpoint https://127.0.0.1:2379 (context deadline exceeded)\n[]\n"
)


def status(host: str, *, leader: str = "cp1", **changes: Any) -> str:
    said = {
        "header": {"cluster_id": 1, "member_id": IDS[host], "revision": 900, "raft_term": 3},
        "version": "3.6.16",
        "dbSize": 4 << 20,
        "leader": IDS.get(leader, 0),
        "raftIndex": 1200,
        "raftTerm": 3,
        "raftAppliedIndex": 1200,
        "dbSizeInUse": 1 << 20,
        "storageVersion": "3.6.0",
        "dbSizeQuota": 2 << 30,
        "downgradeInfo": {},
        **changes,
    }
    return json.dumps([{"Endpoint": "https://127.0.0.1:2379", "Status": said}]) + "\n"


def members(*names: str, **more: Any) -> str:
    rows = [
        {"ID": IDS[name], "name": name, "peerURLs": [f"https://{name}:2380"], "clientURLs": ["https://x"]}
        for name in names
    ]
    return json.dumps({"header": {}, "members": [*rows, *more.get("rows", ())]}) + "\n"


ALL = members(*IDS)


def of(**answers: Answer | None) -> Etcd:
    return etcd_of(HOSTS, {name: answer for name, answer in answers.items() if answer is not None})


def good(host: str, **changes: Any) -> Answer:
    return Answer(etcd=status(host, **changes), members=ALL, processes=frozenset({"etcd"}))


def test_three_that_are_well() -> None:
    found = of(cp1=good("cp1"), cp2=good("cp2", raftAppliedIndex=1190), cp3=good("cp3"))
    assert (found.quorum, found.needed, found.leader) == (True, 2, "cp1")
    assert [(one.host, one.leader, one.answers, one.registered) for one in found.members] == [
        ("cp1", True, True, True),
        ("cp2", False, True, True),
        ("cp3", False, True, True),
    ]
    second = found.members[1]
    assert (second.id, second.version, second.lag) == ("91bc3c398fb3c146", "3.6.16", 10)
    assert (second.size, second.in_use, second.quota) == (4 << 20, 1 << 20, 2 << 30)
    assert not any(one.problem for one in found.members)


def test_one_has_lost_its_data() -> None:
    found = of(cp1=good("cp1"), cp2=Answer(etcd=REFUSED, processes=frozenset({"etcd"}), no_data=True), cp3=good("cp3"))
    second = found.members[1]
    assert (second.answers, second.has_data, second.registered, second.problem) == (
        False,
        False,
        True,
        "it has no data",
    )
    assert found.members[0].has_data


def test_one_is_dead_and_one_cannot_be_asked() -> None:
    dead = Answer(etcd=REFUSED, processes=frozenset())
    found = of(cp1=good("cp1"), cp2=dead)
    assert (found.quorum, found.leader) == (True, "cp1")
    assert [(one.answers, one.problem) for one in found.members] == [
        (True, ""),
        (False, "etcd does not run"),
        (None, "its host cannot be asked"),
    ]
    assert [one.id for one in found.members] == [f"{IDS[name]:x}" for name in ("cp1", "cp2", "cp3")], "from the list"


def test_a_member_that_runs_and_does_not_answer_says_why() -> None:
    found = of(cp1=Answer(etcd=REFUSED, processes=frozenset({"etcd"})))
    assert found.members[0].problem.startswith("it does not answer: Failed to get the status of endpoint")


def test_no_leader_is_no_quorum() -> None:
    alone = Answer(etcd=status("cp1", leader="", errors=["etcdserver: no leader"]), processes=frozenset({"etcd"}))
    found = of(cp1=alone, cp2=Answer(etcd=REFUSED))
    assert (found.quorum, found.needed, found.leader) == (False, 2, "")
    assert found.members[0].problem == "it knows no leader"


def test_nobody_could_be_asked() -> None:
    found = of()
    assert (found.quorum, found.leader) == (None, "")
    assert [one.answers for one in found.members] == [None] * 3


def test_alarms_are_told_by_everyone_and_belong_to_one() -> None:
    errors = [f"memberID:{IDS['cp2']} alarm:NOSPACE ", f"memberID:{IDS['cp3']} alarm:CORRUPT "]
    found = of(cp1=good("cp1", errors=errors), cp2=good("cp2", errors=errors))
    assert [one.alarms for one in found.members] == [(), ("NOSPACE",), ("CORRUPT",)]


def test_members_that_the_inventory_does_not_know() -> None:
    rows = [
        {"ID": 5, "name": "cp9", "peerURLs": ["https://192.0.2.99:2380"], "isLearner": True},
        {"ID": 6, "peerURLs": ["https://192.0.2.98:2380"]},
    ]
    told = Answer(etcd=status("cp1"), members=members("cp1", "cp2", rows=rows), processes=frozenset({"etcd"}))
    found = of(cp1=told)
    assert [(one.host, one.id, one.in_inventory, one.learner) for one in found.members[3:]] == [
        ("cp9", "5", False, True),
        ("", "6", False, False),
    ]
    assert "192.0.2.98:2380 and has never started" in found.members[4].problem
    assert found.members[2].registered is False, "cp3 was struck off"
    assert found.needed == 2, "of cp1, cp2 and the one that never started"


def test_a_member_that_never_started_is_known_by_its_address() -> None:
    rows = [{"ID": 7, "peerURLs": [f"https://{HOSTS[2].address}:2380"], "isLearner": True}]
    told = Answer(etcd=status("cp1"), members=members("cp1", "cp2", rows=rows))
    third = of(cp1=told).members[2]
    assert (third.host, third.id, third.registered, third.learner) == ("cp3", "7", True, True)


def test_garbage_is_no_traceback() -> None:
    for text in ("", "[", "sh: etcdctl: not found\n", '[{"Endpoint":', "[]\n"):
        found = of(cp1=Answer(etcd=text, members="{nonsense"))
        assert found.members[0].answers is False
        assert found.quorum is False
