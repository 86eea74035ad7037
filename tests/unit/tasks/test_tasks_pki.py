from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509

from kubeforge.errors import UnfitHost
from kubeforge.operations.file import File
from kubeforge.operations.model import Entry, Observation
from kubeforge.pki.certificates import TABLE, Scope
from kubeforge.secret import Secret
from kubeforge.spec.paths import ADMIN_CONF, ETCD_MEMBER, PKI, SUPER_ADMIN_CONF
from kubeforge.tasks.pki import control_plane
from kubeforge.tasks.trust import trust_of

Make = Callable[..., Any]
ECDSA = {"pki": {"algorithm": "ECDSA-P256"}}  # quick to make


def keys_read(site: Any) -> list[str]:
    return [path for _, path in site.fetched if path.endswith(".key")]


def test_a_bare_host_gets_the_whole_table(site: Make) -> None:
    founded = site(**ECDSA)
    titles = founded.apply("cp1", control_plane)
    for row in TABLE:
        assert f"file {row.certificate}" in titles
        assert titles.index(f"file {row.key}") < titles.index(f"file {row.certificate}"), (
            "a key comes before its certificate"
        )
    assert f"file {SUPER_ADMIN_CONF}" in titles
    ca = x509.load_pem_x509_certificate(founded.hosts["cp1"].file(f"{PKI}/ca.crt"))
    leaf = x509.load_pem_x509_certificate(founded.hosts["cp1"].file(f"{PKI}/apiserver.crt"))
    leaf.verify_directly_issued_by(ca)


def test_keys_are_secret_and_closed(site: Make) -> None:
    for operation in site(**ECDSA).operations("cp1", control_plane):
        if isinstance(operation, File) and (operation.path.endswith((".key", ".conf"))):
            assert isinstance(operation.content, Secret), operation.path
            assert operation.mode == 0o600, operation.path


def test_a_worker_gets_nothing(site: Make) -> None:
    assert site(**ECDSA).ask("w1", control_plane) == []


def test_a_second_run_changes_nothing_and_reads_no_key_of_an_authority(site: Make) -> None:
    founded = site(**ECDSA)
    founded.apply("cp1", control_plane)
    founded.begin()
    assert founded.changes("cp1", control_plane) == []
    assert keys_read(founded) == []


def test_plan_and_apply_of_one_run_issue_the_same(site: Make) -> None:
    founded = site(**ECDSA)
    first = [change.effect.hashes for change in founded.changes("cp1", control_plane)]
    assert first == [change.effect.hashes for change in founded.changes("cp1", control_plane)]


def test_more_control_planes_share_authorities_and_have_their_own_certificates(site: Make) -> None:
    founded = site(control_planes=3, workers=0, **ECDSA)
    for name in ("cp1", "cp2", "cp3"):
        founded.apply(name, control_plane)
    for row in TABLE:
        found = {founded.hosts[name].file(row.certificate) for name in ("cp1", "cp2", "cp3")}
        assert len(found) == (1 if row.scope is Scope.SHARED else 3), row.name
    paths = [set(host.state.paths) for host in founded.hosts.values()]
    assert [SUPER_ADMIN_CONF in known for known in paths] == [True, False, False]


def test_an_authority_is_opened_once_for_all_hosts(site: Make) -> None:
    """Reading an RSA key costs as much as making one."""
    founded = site(control_planes=2, **ECDSA)
    one, other = (trust_of(founded.context(host, control_plane)).authority("ca") for host in ("cp1", "cp2"))
    assert one is other
    assert one.opened is other.opened


def test_a_control_plane_added_later_gets_the_authorities_that_are_there(site: Make) -> None:
    founded = site(control_planes=2, workers=0, **ECDSA)
    founded.apply("cp1", control_plane)
    founded.begin()
    founded.apply("cp2", control_plane)
    assert founded.hosts["cp1"].file(f"{PKI}/ca.crt") == founded.hosts["cp2"].file(f"{PKI}/ca.crt")
    assert ("cp1", f"{PKI}/ca.key") in founded.fetched


def test_a_lost_certificate_is_issued_anew_by_the_old_authority(site: Make) -> None:
    founded = site(**ECDSA)
    founded.apply("cp1", control_plane)
    ca = founded.hosts["cp1"].file(f"{PKI}/ca.crt")
    founded.hosts["cp1"].overlay(
        Observation(paths={f"{PKI}/apiserver.crt": None}, hashes={f"{PKI}/apiserver.crt": None})
    )
    founded.begin()
    assert founded.apply("cp1", control_plane) == [f"file {PKI}/apiserver.key", f"file {PKI}/apiserver.crt"]
    assert founded.hosts["cp1"].file(f"{PKI}/ca.crt") == ca
    assert keys_read(founded) == [f"{PKI}/ca.key"]


def test_a_name_more_in_the_spec_reaches_the_certificate(site: Make, sample: Make) -> None:
    founded = site(**ECDSA)
    founded.apply("cp1", control_plane)
    founded.sample = sample(pki={"algorithm": "ECDSA-P256", "api_server_sans": ["api.example.test"]})
    founded.begin()
    assert founded.apply("cp1", control_plane) == [f"file {PKI}/apiserver.key", f"file {PKI}/apiserver.crt"]


def test_a_certificate_that_ends_soon_is_renewed(site: Make) -> None:
    founded = site(**ECDSA)
    founded.apply("cp1", control_plane)
    founded.begin()
    founded.vault.once("now", lambda: datetime.now(tz=UTC) + timedelta(days=340))
    renewed = founded.apply("cp1", control_plane)
    assert f"file {PKI}/apiserver.crt" in renewed
    assert f"file {ADMIN_CONF}" in renewed
    assert f"file {PKI}/ca.crt" not in renewed


def test_an_endpoint_that_moved_reaches_the_kubeconfigs(site: Make, sample: Make) -> None:
    founded = site(**ECDSA)
    founded.apply("cp1", control_plane)
    founded.sample = sample(**ECDSA, endpoint={"kind": "external", "address": "198.51.100.9"})
    founded.begin()
    renewed = founded.apply("cp1", control_plane)
    assert f"file {ADMIN_CONF}" in renewed


def test_two_authorities_are_one_too_many(site: Make) -> None:
    founded = site(control_planes=2, workers=0, **ECDSA)
    founded.apply("cp1", control_plane)
    other = site(**ECDSA)
    other.apply("cp1", control_plane)
    founded.hosts["cp2"].put(f"{PKI}/ca.crt", other.hosts["cp1"].file(f"{PKI}/ca.crt"))
    founded.begin()
    with pytest.raises(UnfitHost, match="belongs to another cluster") as raised:
        founded.ask("cp1", control_plane)
    assert raised.value.host == "cp2"
    prints = [line.partition("SHA-256 ")[2] for line in raised.value.evidence]
    assert [len(one) for one in prints] == [95, 95]
    assert prints[0] != prints[1]


def test_of_three_the_odd_one_is_the_stranger(site: Make) -> None:
    founded = site(control_planes=3, workers=0, **ECDSA)
    for host in ("cp1", "cp2", "cp3"):
        founded.apply(host, control_plane)
    other = site(**ECDSA)
    other.apply("cp1", control_plane)
    founded.hosts["cp1"].put(f"{PKI}/ca.crt", other.hosts["cp1"].file(f"{PKI}/ca.crt"))
    founded.begin()
    with pytest.raises(UnfitHost, match="is not that of cp2, cp3: it belongs to another cluster") as raised:
        founded.ask("cp2", control_plane)
    assert raised.value.host == "cp1"
    assert "kubeforge reset --limit cp1" in str(raised.value.remedy)


@pytest.mark.parametrize("name", ["ca", "etcd/ca", "front-proxy-ca"])
def test_an_authority_that_signed_nothing_here_is_refused_also_with_its_key(site: Make, name: str) -> None:
    """Every certificate was issued anew by the stranger, and the workers were told that they are the strangers."""
    founded, other = site(**ECDSA), site(**ECDSA)
    founded.apply("cp1", control_plane)
    other.apply("cp1", control_plane)
    for suffix in ("crt", "key"):
        founded.hosts["cp1"].put(f"{PKI}/{name}.{suffix}", other.hosts["cp1"].file(f"{PKI}/{name}.{suffix}"))
    founded.begin()
    with pytest.raises(UnfitHost, match=f"{name}.crt signed none of the certificates beside it") as raised:
        founded.ask("cp1", control_plane)
    assert raised.value.host == "cp1"
    assert any("SHA-256" in line for line in raised.value.evidence)


def test_one_damaged_certificate_is_issued_anew(site: Make) -> None:
    founded, other = site(**ECDSA), site(**ECDSA)
    founded.apply("cp1", control_plane)
    other.apply("cp1", control_plane)
    founded.hosts["cp1"].put(f"{PKI}/apiserver.crt", other.hosts["cp1"].file(f"{PKI}/apiserver.crt"))
    founded.begin()
    assert f"file {PKI}/apiserver.crt" in founded.apply("cp1", control_plane)


def test_no_second_authority_beside_living_data(site: Make) -> None:
    founded = site(**ECDSA)
    founded.hosts["cp1"].overlay(Observation(paths={ETCD_MEMBER: Entry(0o040700)}))
    with pytest.raises(UnfitHost, match="etcd has data here"):
        founded.ask("cp1", control_plane)


def test_an_authority_without_its_key_is_external(site: Make) -> None:
    founded = site(**ECDSA)
    founded.apply("cp1", control_plane)
    gone = Observation(paths={f"{PKI}/ca.key": None}, hashes={f"{PKI}/ca.key": None})
    founded.hosts["cp1"].overlay(gone)
    founded.begin()
    assert founded.changes("cp1", control_plane) == [], "everything it signed is there"
    founded.hosts["cp1"].overlay(
        Observation(paths={f"{PKI}/apiserver.crt": None}, hashes={f"{PKI}/apiserver.crt": None})
    )
    founded.begin()
    with pytest.raises(UnfitHost, match="needed to sign"):
        founded.ask("cp1", control_plane)
