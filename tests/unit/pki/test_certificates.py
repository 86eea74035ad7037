from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from kubeforge.errors import KubeforgeError
from kubeforge.inventory.model import CONTROL_PLANE, ETCD, Connection, Host, Inventory
from kubeforge.pki.certificates import (
    TABLE,
    Identity,
    Kind,
    Request,
    Sans,
    Scope,
    Usage,
    has_key,
    request,
    row,
    rows_for,
)

# docs: the kubeadm contract, file -> CN, O, usages, signer
CONTRACT = {
    "ca": ("kubernetes", (), (), None),
    "apiserver": ("kube-apiserver", (), (Usage.SERVER,), "ca"),
    "apiserver-kubelet-client": ("kube-apiserver-kubelet-client", (), (Usage.CLIENT,), "ca"),
    "front-proxy-ca": ("front-proxy-ca", (), (), None),
    "front-proxy-client": ("front-proxy-client", (), (Usage.CLIENT,), "front-proxy-ca"),
    "etcd/ca": ("etcd-ca", (), (), None),
    "etcd/server": ("cp1", (), (Usage.SERVER, Usage.CLIENT), "etcd-ca"),
    "etcd/peer": ("cp1", (), (Usage.SERVER, Usage.CLIENT), "etcd-ca"),
    "etcd/healthcheck-client": ("kube-etcd-healthcheck-client", (), (Usage.CLIENT,), "etcd-ca"),
    "apiserver-etcd-client": ("kube-apiserver-etcd-client", (), (Usage.CLIENT,), "etcd-ca"),
}


@pytest.fixture
def identity(sample: Callable[..., Any]) -> Identity:
    cluster = sample()
    return Identity.of(cluster.spec, cluster.inventory, cluster.first)


def test_authorities_come_before_what_they_sign() -> None:
    seen: set[str] = set()
    for candidate in TABLE:
        assert candidate.signer is None or candidate.signer in seen, candidate.name
        seen.add(candidate.name)


def test_names_and_files_are_unique() -> None:
    assert len({candidate.name for candidate in TABLE}) == len(TABLE)
    assert len({path for candidate in TABLE for path in (candidate.certificate, candidate.key)}) == 2 * len(TABLE)


def test_a_signer_is_an_authority_and_shared() -> None:
    for candidate in TABLE:
        if candidate.signer is not None:
            assert row(candidate.signer).kind is Kind.AUTHORITY
            assert row(candidate.signer).scope is Scope.SHARED
            assert candidate.holders <= row(candidate.signer).holders, "every holder can have it signed"


def test_only_leaves_have_usages_and_a_signer() -> None:
    for candidate in TABLE:
        leaf = candidate.kind is Kind.LEAF
        assert leaf == (candidate.signer is not None) == bool(candidate.usages), candidate.name
        assert (candidate.scope is Scope.NODE) == leaf, "what a node shares is an authority or the key pair"


def test_servers_have_names_and_clients_have_none() -> None:
    for candidate in TABLE:
        if candidate.kind is Kind.LEAF:
            assert (candidate.sans is not Sans.NONE) == (Usage.SERVER in candidate.usages), candidate.name


def test_the_table_is_the_contract(identity: Identity) -> None:
    said = {
        candidate.stem: (asked.common_name, asked.organizations, asked.usages, candidate.signer)
        for candidate in TABLE
        if candidate.kind is not Kind.KEY_PAIR
        for asked in [request(candidate, identity)]
    }
    assert said == CONTRACT
    assert [candidate.name for candidate in TABLE if candidate.kind is Kind.KEY_PAIR] == ["sa"]
    assert (row("sa").certificate, row("sa").key) == ("/etc/kubernetes/pki/sa.pub", "/etc/kubernetes/pki/sa.key")


def test_api_server_names(sample: Callable[..., Any]) -> None:
    cluster = sample(
        endpoint={"kind": "external", "address": "api.example.net"},
        network={"services": "10.32.0.0/16", "domain": "example.local"},
        pki={"api_server_sans": ["lb.example.net", "203.0.113.5", "api.example.net"]},
    )
    asked = request(row("apiserver"), Identity.of(cluster.spec, cluster.inventory, cluster.first))
    assert asked.names == tuple(
        sorted(
            (
                "cp1",
                "kubernetes",
                "kubernetes.default",
                "kubernetes.default.svc",
                "kubernetes.default.svc.example.local",
                "api.example.net",
                "lb.example.net",
            )
        )
    )
    assert asked.addresses == ("10.32.0.1", "192.0.2.11", "203.0.113.5")


def test_a_node_local_balancer_is_reached_at_loopback(sample: Callable[..., Any]) -> None:
    cluster = sample(control_planes=3)
    asked = request(row("apiserver"), Identity.of(cluster.spec, cluster.inventory, cluster.inventory.control_planes[1]))
    assert "localhost" in asked.names
    # the first control plane is kubeadm's controlPlaneEndpoint, and kubeadm names that in all of them
    assert asked.addresses == ("10.96.0.1", "192.0.2.12", "192.0.2.11", "127.0.0.1")


def test_etcd_names(identity: Identity) -> None:
    for name in ("etcd-server", "etcd-peer"):
        asked = request(row(name), identity)
        assert (asked.names, asked.addresses) == (("cp1", "localhost"), ("192.0.2.11", "127.0.0.1", "::1"))


@pytest.mark.parametrize(
    ("version", "organizations"),
    [("1.35.4", ("kubeadm:cluster-admins",)), ("1.35.5", ()), ("1.36.0", ("kubeadm:cluster-admins",)), ("1.37.0", ())],
)
def test_kubelet_client_loses_its_group(
    sample: Callable[..., Any], version: str, organizations: tuple[str, ...]
) -> None:
    cluster = sample(version)
    asked = request(row("apiserver-kubelet-client"), Identity.of(cluster.spec, cluster.inventory, cluster.first))
    assert asked.organizations == organizations


def test_who_holds_what(sample: Callable[..., Any]) -> None:
    stacked = sample().inventory
    assert rows_for(stacked, stacked.hosts["cp1"]) == TABLE
    assert rows_for(stacked, stacked.hosts["w1"]) == ()
    member = Host(name="e1", connection=Connection(address="192.0.2.31"), groups=frozenset({ETCD}))
    hosts = {**stacked.hosts, "e1": member}
    apart = Inventory(hosts=hosts, groups={CONTROL_PLANE: ("cp1",), ETCD: ("e1",)})
    on_member = {candidate.stem for candidate in rows_for(apart, member)}
    assert on_member == {"etcd/ca", "etcd/server", "etcd/peer", "etcd/healthcheck-client"}
    assert "etcd-server" not in {candidate.name for candidate in rows_for(apart, hosts["cp1"])}


def test_who_can_sign_for_etcd(sample: Callable[..., Any]) -> None:
    """A control plane that has no member is a client of etcd: it needs no key to make other clients with."""
    stacked, apart = sample().inventory, sample(etcd_hosts=1).inventory
    authority = row("etcd-ca")
    assert has_key(stacked, stacked.hosts["cp1"], authority)
    assert authority in rows_for(apart, apart.hosts["cp1"])
    assert not has_key(apart, apart.hosts["cp1"], authority)
    assert has_key(apart, apart.hosts["e1"], authority)
    assert has_key(apart, apart.hosts["cp1"], row("ca"))


def test_an_address_must_be_an_address(sample: Callable[..., Any]) -> None:
    cluster = sample()
    host = Host(name="cp1", connection=Connection(address="cp1.example.net"), groups=frozenset({CONTROL_PLANE}))
    with pytest.raises(KubeforgeError, match="is a name") as caught:
        Identity.of(cluster.spec, cluster.inventory, host)
    assert "ip" in (caught.value.remedy or "")


def test_requests_compare_by_value() -> None:
    assert Request(common_name="a") == Request(common_name="a")
    with pytest.raises(LookupError, match="nothing"):
        row("nothing")
