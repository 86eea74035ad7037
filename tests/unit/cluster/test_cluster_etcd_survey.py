"""What members are like together: a table of verdicts."""

from __future__ import annotations

import pytest

from kubeforge.cluster.etcd_survey import Standing, Survey, Verdict, quorum_lost, survey
from kubeforge.errors import ConnectionFailed
from kubeforge.operations.model import Entry
from kubeforge.spec.paths import ETCD_WAL
from kubeforge.transport.base import Remote
from kubeforge.transport.memory import MemoryHost

# s: serves, d: has data and does not serve, 1: the same with data never written, n: no data, u: cannot be asked
STANDINGS = {
    "s": {},
    "d": {"lacks": "no leader", "revision": 9},
    "1": {"lacks": "no leader", "revision": 1},
    "?": {"lacks": "no answer"},
    "n": {"lacks": "no answer", "has_data": False},
    "u": {"lacks": "no answer", "has_data": None},
}


def members(kinds: str) -> Survey:
    return Survey(
        standings=tuple(Standing(host=f"cp{number}", **STANDINGS[kind]) for number, kind in enumerate(kinds, 1))  # type: ignore[arg-type]  # a table
    )


@pytest.mark.parametrize(
    ("kinds", "verdict"),
    [
        ("sss", Verdict.SERVES),
        ("ssn", Verdict.SERVES),
        ("sud", Verdict.SERVES),
        ("ddn", Verdict.STARTS),
        ("ddu", Verdict.STARTS),
        ("d", Verdict.STARTS),
        ("dnn", Verdict.LOST),
        ("duu", Verdict.LOST),
        ("dn", Verdict.LOST),
        ("dddnn", Verdict.STARTS),
        ("ddnnn", Verdict.LOST),
        ("1nn", Verdict.UNBORN),
        ("1un", Verdict.LOST),
        ("?nn", Verdict.LOST),
        ("11n", Verdict.STARTS),
        ("nnn", Verdict.UNBORN),
        ("1dnnn", Verdict.LOST),
    ],
)
def test_verdicts(kinds: str, verdict: Verdict) -> None:
    assert members(kinds).verdict is verdict


def test_the_error_says_who_and_what_to_do() -> None:
    told = quorum_lost(members("1dnun"), host="cp3", step="etcd.join")
    assert told.cause == (
        "etcd has lost its quorum: of 5 members 3 must have their data, and 2 have "
        "(cp3 has no data; cp4 cannot be asked; cp5 has no data); nothing was touched"
    )
    assert told.remedy == (
        "bring cp4 back; where that cannot be: kubeforge etcd recover --from cp2, then kubeforge apply"
    ), "cp2 has the newest data"
    assert "kubeforge etcd recover" not in str(quorum_lost(members("nuu"), host="cp1", step="s").remedy)


def test_hosts_are_asked() -> None:
    hosts = {
        "cp1": MemoryHost("cp1", paths={ETCD_WAL: Entry(0o040700)}),
        "cp2": MemoryHost("cp2"),
    }

    def remote_of(name: str) -> Remote:
        if name not in hosts:
            raise ConnectionFailed("no route", host=name)
        return hosts[name]

    found = survey(["cp1", "cp2", "cp3"], remote_of)
    assert [one.has_data for one in found.standings] == [True, False, None]
    assert found.standings[0].revision is None, "nothing answers, and there is no etcdutl"
    assert [one.about.partition(":")[0] for one in found.standings] == [
        "cp1 has its data, but",
        "cp2 has no data",
        "cp3 cannot be asked",
    ]
    assert found.verdict is Verdict.LOST
