"""Which certificates there are, how each stands, and what a monitor is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kubeforge.cluster import certificates
from kubeforge.cluster.certificates import ENDED, ENDS_SOON, Listed, Listing, State, certificates_on, listing
from kubeforge.cluster.status.probe import Answer, Asked, Config, asked_of
from kubeforge.errors import ConnectionFailed
from kubeforge.pki.certificates import Request, Usage
from kubeforge.pki.issue import Authority, authority, leaf, new_keys
from kubeforge.report.certificates import as_text, findings
from kubeforge.spec.model import KeyAlgorithm
from kubeforge.spec.paths import ADMIN_CONF, KUBELET_CLIENT_CURRENT, PKI

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEAF = f"{PKI}/apiserver.crt"


def ca(days: float = 3650) -> Authority:
    request = Request(common_name="kubernetes", authority=True, names=("kubernetes",))
    return authority(request, new_keys(1, KeyAlgorithm.ECDSA_P256)[0], days=int(days), now=NOW)


def issued(days: float, *, since: timedelta = timedelta(0)) -> bytes:
    request = Request(common_name="x", usages=(Usage.SERVER,), names=("cp1",), addresses=("192.0.2.11",))
    return leaf(request, new_keys(1, KeyAlgorithm.ECDSA_P256)[0], ca(), days=days, now=NOW - since).certificate


def looked(pem: bytes, path: str = LEAF, *, signs: bool = False, rotates: bool = False) -> Listed:
    asked = Asked(certificates={path: ("apiserver", signs, rotates)}, kubeconfigs=(), etcd=False)
    (one,) = certificates_on("cp1", asked, Answer(certificates={path: pem}), NOW)
    return one


@pytest.mark.parametrize(
    ("days", "since", "state"),
    [
        (365, 0, State.VALID),
        (365, 334, State.VALID),
        (365, 336, State.SOON),
        (365, 366, State.ENDED),
        (365, -1, State.NOT_YET),
        (1 / 24, 0, State.VALID),
        (1 / 24, 0.75 / 24, State.SOON),
    ],
    ids=["new", "31 days", "29 days", "ended", "not yet", "an hour", "a quarter of an hour"],
)
def test_how_a_certificate_stands(days: float, since: float, state: State) -> None:
    assert looked(issued(days, since=timedelta(days=since))).state is state


def test_what_a_kubelet_renews_is_late_in_its_last_tenth_only() -> None:
    assert looked(issued(365, since=timedelta(days=300)), KUBELET_CLIENT_CURRENT, rotates=True).state is State.VALID
    late = looked(issued(365, since=timedelta(days=340)), KUBELET_CLIENT_CURRENT, rotates=True)
    assert (late.state, late.renewed_by) == (State.SOON, "kubelet")


def test_an_authority_needs_half_a_year() -> None:
    found = looked(ca(179).certificate, f"{PKI}/ca.crt", signs=True)
    assert (found.state, found.authority, found.renewed_by) == (State.SOON, True, "")


def test_what_it_says_is_told() -> None:
    one = looked(issued(365))
    assert (one.subject, one.issuer, one.sans) == ("CN=x", "CN=kubernetes", ("cp1", "192.0.2.11"))
    assert one.ends == NOW + timedelta(days=365)
    assert (one.days, one.renewed_by) == (365, "certs renew")


def test_what_cannot_be_read_has_ended_for_a_monitor() -> None:
    one = looked(b"nonsense")
    assert (one.state, one.days) == (State.UNREADABLE, None)
    assert Listing(asked=NOW, certificates=(one,), silent={}).exit_code == ENDED


def test_kubeconfigs_are_looked_into() -> None:
    config = Config(server="https://x", authority=ca().certificate, certificate=issued(365))
    asked = Asked(certificates={}, kubeconfigs=(ADMIN_CONF,), etcd=False)
    found = list(certificates_on("cp1", asked, Answer(kubeconfigs={ADMIN_CONF: config}), NOW))
    assert [(one.name, one.authority) for one in found] == [("admin.conf", False), ("ca in admin.conf", True)]


def test_the_worst_decides_for_a_monitor() -> None:
    good, soon, ended = (looked(issued(365, since=timedelta(days=days))) for days in (0, 340, 370))

    def code(*found: Listed, silent: dict[str, str] | None = None) -> int:
        return Listing(asked=NOW, certificates=found, silent=silent or {}).exit_code

    assert (code(good), code(good, soon), code(good, soon, ended)) == (0, ENDS_SOON, ENDED)
    assert code(good, soon, silent={"w1": "no route"}) == ConnectionFailed.exit_code
    assert code(ended, silent={"w1": "no route"}) == ENDED


def test_days_to_warn_count_for_all_alike() -> None:
    seen = Listing(asked=NOW, certificates=(looked(issued(365)), looked(ca().certificate)), silent={})
    assert seen.warned(timedelta(days=364)).exit_code == 0
    assert seen.warned(timedelta(days=366)).exit_code == ENDS_SOON
    assert seen.warned(timedelta(days=4000)).warned(timedelta(0)).exit_code == 0


def test_text_and_lines() -> None:
    soon, ended = (looked(issued(365, since=timedelta(days=days))) for days in (340, 370))
    seen = Listing(asked=NOW, certificates=(ended, soon), silent={"w1": "no route to host"})
    table = as_text(seen, wide=True)
    assert "SUBJECT" in table
    assert "-5 d" in table
    assert table.splitlines()[1].endswith("!! ended")
    assert "w1: could not be asked: no route to host" in table
    lines = findings(seen).splitlines()
    assert lines[0] == f"cp1: apiserver ({LEAF}) ended 5 d ago"
    assert lines[1] == f"cp1: apiserver ({LEAF}) ends in 25 d"
    assert lines[-1] == "2 of 2 certificates not well"
    fine = Listing(asked=NOW, certificates=(looked(issued(365)),), silent={})
    assert findings(fine) == "1 valid; the first to end is apiserver on cp1, 365 d left\n"


def test_nothing_found_is_not_well() -> None:
    """A monitor that looks at the wrong hosts shall not be green."""
    nothing = Listing(asked=NOW, certificates=(), silent={})
    assert nothing.exit_code == ENDED
    assert findings(nothing).startswith("no certificate was found")


def test_a_silent_host_does_not_hide_the_others(sample: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    made = sample(workers=1)
    asked: list[bool] = []

    def probe(remote: Any, what: Asked) -> Answer:
        asked.append(what.etcd)
        if remote == "w1":
            raise ConnectionFailed("no route to host", host="w1")
        return Answer(certificates={LEAF: issued(9)})

    monkeypatch.setattr(certificates, "probe", probe)
    found = listing(made.inventory, made.inventory.cluster, lambda name: name)  # type: ignore[arg-type,return-value]
    assert found.silent == {"w1": "no route to host"}
    assert [(one.host, one.name) for one in found.certificates] == [("cp1", "apiserver")]
    assert asked == [False, False], "etcd has nothing to say here"
    data = found.to_data()
    assert data["good"] is False
    assert data["certificates"][0]["ends"].endswith("Z")
    assert asked_of(made.inventory, made.first).etcd
