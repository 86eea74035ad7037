"""The arithmetic of members that leave."""

from __future__ import annotations

import pytest

from kubeforge.cluster.etcd import Member
from kubeforge.cluster.quorum import Parting


def parting(members: str, going: str, *, silent: str = "", learners: str = "") -> Parting:
    """Members are single letters, each its own id and name."""
    listed = tuple(Member(id=one, name=one, peer_urls=(), learner=one in learners) for one in members)
    return Parting(listed=listed, serving=frozenset(members) - frozenset(silent), going=frozenset(going))


@pytest.mark.parametrize(
    ("members", "going", "silent", "learners", "says"),
    [
        ("abc", "a", "", "", None),
        ("abc", "a", "a", "", None),
        ("abc", "b", "a", "", "etcd would lose its quorum"),
        ("abc", "ab", "a", "", None),  # the dead one first; then one of two that serve
        ("abc", "ab", "", "", None),
        ("abc", "a", "ab", "", "etcd has no quorum now"),
        ("abcde", "ab", "ab", "", None),
        ("abcde", "c", "ab", "", "etcd would lose its quorum"),
        ("abcd", "a", "b", "", None),
        ("ab", "a", "", "", None),
        ("ab", "a", "a", "", "etcd has no quorum now"),
        ("ab", "a", "b", "", "etcd has no quorum now"),
        ("a", "a", "", "", "no member of etcd would be left of 1"),
        ("ab", "ab", "", "", "no member of etcd would be left of 2"),
        ("abc", "c", "b", "c", "etcd has no quorum now"),  # two vote, one of them is silent
        ("abc", "c", "c", "c", None),
        ("abc", "", "", "", None),
    ],
)
def test_who_may_leave(members: str, going: str, silent: str, learners: str, says: str | None) -> None:
    refusal = parting(members, going, silent=silent, learners=learners).refusal
    assert (refusal is None) == (says is None), refusal
    assert says is None or says in str(refusal)


def test_the_numbers_are_told() -> None:
    assert parting("abc", "b", silent="a").about == (
        "3 members, 3 vote, 2 serve now; without b 2 are left, of which 2 must serve, and 1 does"
    )
    assert parting("ab", "a", learners="a").about == (
        "2 members, 1 votes, 1 serves now; without a 1 is left, of which 1 must serve, and 1 does"
    )


def test_those_that_do_not_serve_go_first() -> None:
    assert [one.name for one in parting("abcde", "abc", silent="c").order] == ["c", "a", "b"]


@pytest.mark.parametrize(
    ("members", "going", "spare"), [("abcde", "a", 1), ("abcd", "a", 1), ("abc", "a", 0), ("ab", "a", 0)]
)
def test_how_many_may_fail_afterwards(members: str, going: str, spare: int) -> None:
    assert parting(members, going).spare == spare
