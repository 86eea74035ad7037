from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from kubeforge.pki.certificates import Identity, request, row
from kubeforge.pki.issue import Authority, Issued, authority, leaf, new_keys, private_pem
from kubeforge.pki.verify import reasons, time_left
from kubeforge.spec.model import KeyAlgorithm

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
IDENTITY = Identity(node="cp1", address="192.0.2.11", api_server=("10.96.0.1",))
ASKED = request(row("apiserver"), IDENTITY)


def make_ca() -> Authority:
    return authority(request(row("ca"), IDENTITY), new_keys(1, KeyAlgorithm.ECDSA_P256)[0], days=3650, now=NOW)


@pytest.fixture(scope="module")
def ca() -> Authority:
    return make_ca()


@pytest.fixture(scope="module")
def issued(ca: Authority) -> Issued:
    return leaf(ASKED, new_keys(1, KeyAlgorithm.ECDSA_P256)[0], ca, days=365, now=NOW)


def test_a_good_one_is_kept(ca: Authority, issued: Issued) -> None:
    assert reasons(ASKED, issued.certificate, now=NOW, signer=ca.certificate, key=issued.key) == ()
    assert reasons(request(row("ca"), IDENTITY), ca.certificate, now=NOW) == ()
    assert time_left(issued.certificate, NOW) == timedelta(days=365)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"common_name": "other"}, "its CN is kube-apiserver, not other"),
        ({"organizations": ("admins",)}, "its O is none, not admins"),
        ({"usages": ()}, "it is not for"),
        ({"names": ("new.example.net", *ASKED.names)}, "it lacks new.example.net"),
        ({"addresses": ()}, "it still names 10.96.0.1"),
        ({"authority": True}, "it is no authority"),
    ],
)
def test_every_difference_has_its_reason(ca: Authority, issued: Issued, change: dict[str, object], words: str) -> None:
    told = reasons(replace(ASKED, **change), issued.certificate, now=NOW, signer=ca.certificate)  # type: ignore[arg-type]  # the parameters are fields of Request
    assert len(told) == 1
    assert words in told[0]


def test_another_signer(issued: Issued) -> None:
    other = make_ca()
    assert reasons(ASKED, issued.certificate, now=NOW, signer=other.certificate) == (
        "it is not signed by CN=kubernetes",
    )


@pytest.mark.parametrize(
    ("later", "words"),
    [(-1, "valid only from"), (334, None), (336, "expires in 29 days"), (365, "it expired")],
)
def test_time(ca: Authority, issued: Issued, later: int, words: str | None) -> None:
    told = reasons(ASKED, issued.certificate, now=NOW + timedelta(days=later), signer=ca.certificate)
    assert told == () if words is None else (len(told) == 1 and words in told[0])


def test_another_ones_key(ca: Authority, issued: Issued) -> None:
    strange = private_pem(new_keys(1, KeyAlgorithm.ECDSA_P256)[0])
    told = reasons(ASKED, issued.certificate, now=NOW, signer=ca.certificate, key=strange)
    assert told == ("its key is another one's",)


def test_rubbish_says_so(ca: Authority) -> None:
    (told,) = reasons(ASKED, b"-----BEGIN nothing", now=NOW, signer=ca.certificate)
    assert "cannot be read" in told


def test_what_cannot_last_longer_is_kept_until_it_ends() -> None:
    """An authority that ends in ten days, brought along: what it signs ends with it, and is not renewed for ever."""
    keys = new_keys(2, KeyAlgorithm.ECDSA_P256)
    short = authority(request(row("ca"), IDENTITY), keys[0], days=10, now=NOW)
    signed = leaf(ASKED, keys[1], short, days=365, now=NOW)
    assert reasons(ASKED, signed.certificate, now=NOW, signer=short.certificate) == ()
    (told,) = reasons(ASKED, signed.certificate, now=NOW + timedelta(days=11), signer=short.certificate)
    assert "it expired" in told


@pytest.mark.parametrize(
    ("days", "left", "due"),
    [
        (365, 31, False),
        (365, 29, True),
        (30, 11, False),
        (30, 9, True),
        (1 / 24, 0.6 / 24, False),
        (1 / 24, 0.01, True),
    ],
    ids=["a year", "its last month", "a month", "its last third", "an hour", "its last quarter"],
)
def test_soon_is_at_most_the_last_third(ca: Authority, days: float, left: float, due: bool) -> None:
    """With 30 days alone, each run would renew what is valid for hours."""
    short = leaf(ASKED, new_keys(1, KeyAlgorithm.ECDSA_P256)[0], ca, days=days, now=NOW).certificate
    told = reasons(ASKED, short, now=NOW + timedelta(days=days - left), signer=ca.certificate)
    assert bool(told) == due
    assert not told or told[0].startswith("it expires ")
