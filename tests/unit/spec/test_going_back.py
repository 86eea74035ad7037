"""May an upgrade be taken back, and how: every rule, alone and against others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from kubeforge.spec.going_back import HostKept, Stand, Way, decide
from kubeforge.spec.upgrading import Finished, Record

PATCH = Record(old="1.36.1", new="1.36.3", base=3, begun=100)
MINOR = Record(old="1.35.4", new="1.36.3", base=3, begun=100)
RUNS = {3: "before", 4: "first", 5: "second"}


def host(name: str = "cp1", record: Record | None = MINOR, **values: object) -> HostKept:
    return HostKept(**{"name": name, "record": record, "generations": RUNS, **values})  # type: ignore[arg-type]


ONE_MINOR = Stand(hosts=(host(), host("w1")), now="1.36.3", etcd_cluster="3.6", snapshot="s")


def test_within_a_minor_it_always_may() -> None:
    """Whatever is not known, and with no snapshot at all."""
    stand = Stand(hosts=(host(record=PATCH),), now="1.36.3", unreadable=None, etcd_before="3.6.8", etcd_now="3.6.16")
    assert decide(stand).way is Way.COMPONENTS
    assert decide(stand).old == "1.36.1"


def test_one_minor_back_puts_back_what_ran() -> None:
    verdict = decide(ONE_MINOR)
    assert (verdict.way, verdict.old, verdict.why, verdict.later) == (Way.COMPONENTS, "1.35.4", (), {})


def test_an_upgrade_that_has_not_reached_any_control_plane_goes_back_as_it_came() -> None:
    assert decide(replace(ONE_MINOR, now="1.35.4", unreadable=None, snapshot=None)).way is Way.COMPONENTS


@pytest.mark.parametrize(
    ("stand", "words"),
    [
        (replace(ONE_MINOR, unreadable=("resource.k8s.io/v1/deviceclasses",)), "does not know: resource.k8s.io/v1/dev"),
        (replace(ONE_MINOR, unreadable=None), "it is not known what the API served at 1.35.4"),
        (replace(ONE_MINOR, now="1.37.0"), "from 1.37.0 to 1.35.4 are 2 minors"),
        (
            replace(ONE_MINOR, etcd_before="3.6.16", etcd_now="3.7.0", etcd_cluster="3.7.0"),
            "etcd's cluster version is 3.7.0",
        ),
        (replace(ONE_MINOR, etcd_before="3.6.16", etcd_now="3.7.0", etcd_cluster=None), "no member tells whether"),
        (replace(ONE_MINOR, etcd_before="3.6.16", etcd_now=None, etcd_cluster=None), "no member tells whether"),
    ],
)
def test_what_forbids_that_leaves_the_snapshot(stand: Stand, words: str) -> None:
    verdict = decide(stand)
    assert verdict.way is Way.SNAPSHOT
    assert [why for why in verdict.why if words in why], verdict.why
    without = decide(replace(stand, snapshot=None))
    assert without.way is Way.REFUSED
    assert without.why == (*verdict.why, "no snapshot is kept that was taken before the upgrade")


@pytest.mark.parametrize(
    ("before", "now", "cluster"),
    [
        ("3.6.16", "3.7.0", "3.6.0"),  # mixed: the cluster version goes up only once all members are newer
        ("3.6.8", "3.6.16", "3.6.0"),
        ("3.6.8", "3.6.16", None),
        (None, "3.7.0", "3.7.0"),  # it was of that minor before
    ],
)
def test_an_etcd_that_may_go_back(before: str | None, now: str, cluster: str | None) -> None:
    stand = replace(ONE_MINOR, etcd_before=before, etcd_now=now, etcd_cluster=cluster)
    assert decide(stand).way is Way.COMPONENTS


def test_all_that_forbids_is_said_at_once() -> None:
    stand = replace(ONE_MINOR, now="1.37.0", etcd_before="3.6.16", etcd_now="3.7.0", etcd_cluster="3.7.0")
    assert len(decide(stand).why) == 2


def test_nothing_to_take_back_is_refused() -> None:
    verdict = decide(Stand(hosts=(host(record=None),), now="1.36.3"))
    assert (verdict.way, verdict.old) == (Way.REFUSED, "")


def test_a_host_that_has_folded_it_is_named() -> None:
    """Its oldest generation is younger than the first of the upgrade."""
    verdict = decide(replace(ONE_MINOR, hosts=(host(), host("w1", generations={7: "later", 8: "again"}))))
    assert verdict.way is Way.REFUSED
    assert verdict.why[0].endswith("not kept any more on w1")


def test_a_host_that_had_nothing_before_is_not_folded() -> None:
    assert not host(record=replace(MINOR, base=0), generations={1: "r"}).lacks
    assert not host(generations={}).lacks, "nothing was changed on it"


def test_different_beginnings_have_no_one_end() -> None:
    verdict = decide(replace(ONE_MINOR, hosts=(host(), host("w1", PATCH), host("w2", None))))
    assert verdict.way is Way.REFUSED
    assert "cp1: 1.35.4, w1: 1.36.1" in verdict.why[0]


def test_runs_that_came_later_are_named() -> None:
    done = host(finished=Finished(begun=100, generation=4))
    assert decide(replace(ONE_MINOR, hosts=(done, host("w1")))).later == {"cp1": ("second",)}
    assert host(finished=Finished(begun=99, generation=4)).later == (), "another upgrade's mark"
