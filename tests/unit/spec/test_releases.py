from __future__ import annotations

from itertools import pairwise

import pytest

from kubeforge.spec.releases import MINORS, RELEASES, Release, minor_of, parse, release
from kubeforge.spec.skew import etcd_upgrade_problem, skew_problem, upgrade_problem


@pytest.mark.parametrize("row", RELEASES, ids=lambda row: row.minor)
def test_rows_are_sound(row: Release) -> None:
    assert minor_of(row.kubernetes) == row.minor
    assert minor_of(row.kubelet_client_plain_from) == row.minor
    assert parse(row.kubeadm_etcd_tag) <= parse(row.etcd), "never older than what kubeadm itself would run"
    for version in (row.etcd, row.coredns, row.pause, row.containerd, row.runc, row.cni_plugins):
        assert len(parse(version)) == 3


def test_rows_are_in_order_without_gap() -> None:
    minors = [parse(minor)[1] for minor in MINORS]
    assert minors == list(range(minors[0], minors[0] + len(minors)))


def test_neighbours_can_be_upgraded() -> None:
    """From each row's etcd to the next one's in one step, or upgrades of the cluster would be stuck."""
    for old, new in pairwise(RELEASES):
        assert etcd_upgrade_problem(old.etcd, new.etcd) is None
        assert upgrade_problem(old.kubernetes, new.kubernetes) is None


@pytest.mark.parametrize("version", ["1.36", "1.36.3", "v1.36.3", "1.36.0-rc.1"])
def test_release_of_any_spelling(version: str) -> None:
    assert release(version).minor == "1.36"


def test_unsupported_names_the_supported() -> None:
    with pytest.raises(LookupError, match=r"Kubernetes 1\.30 is not supported; supported: 1\.35, 1\.36, 1\.37"):
        release("1.30.2")


@pytest.mark.parametrize(
    ("version", "organization"),
    [
        ("1.35.4", "kubeadm:cluster-admins"),
        ("1.35.5", None),
        ("1.36.0", "kubeadm:cluster-admins"),
        ("1.36.1", None),
        ("1.37.0", None),
    ],
)
def test_kubelet_client_organization(version: str, organization: str | None) -> None:
    assert release(version).kubelet_client_organization(version) == organization


@pytest.mark.parametrize(
    ("component", "version", "api", "words"),
    [
        ("kubelet", "1.33.9", "1.36.3", None),
        ("kubelet", "1.32.9", "1.36.3", "4 minors older"),
        ("kubelet", "1.36.9", "1.36.3", None),
        ("kubelet", "1.37.0", "1.36.3", "never newer"),
        ("kube-scheduler", "1.35.0", "1.36.3", None),
        ("kube-scheduler", "1.34.0", "1.36.3", "at most 1"),
        ("kube-apiserver", "1.37.0", "1.36.3", None),
        ("kube-apiserver", "1.34.0", "1.36.3", "2 minors older"),
        ("kubectl", "1.37.0", "1.36.3", None),
        ("kubectl", "1.38.0", "1.36.3", "at most 1 minor newer"),
        ("kubelet", "2.0.0", "1.36.3", "different major"),
    ],
)
def test_skew(component: str, version: str, api: str, words: str | None) -> None:
    said = skew_problem(component, version, api)
    assert (said is None) if words is None else (said is not None and words in said)


@pytest.mark.parametrize(
    ("current", "wanted", "words"),
    [
        ("1.35.4", "1.36.3", None),
        ("1.36.1", "1.36.3", None),
        ("1.35.4", "1.37.0", "one at a time, next 1.36"),
        ("1.36.3", "1.36.1", "does not go back"),
        ("1.36.3", "1.35.8", "does not go back"),
    ],
)
def test_upgrade(current: str, wanted: str, words: str | None) -> None:
    said = upgrade_problem(current, wanted)
    assert (said is None) if words is None else (said is not None and words in said)


@pytest.mark.parametrize(
    ("current", "wanted", "words"),
    [
        ("3.5.31", "3.6.16", "3.5.32 or newer"),
        ("3.5.32", "3.6.16", None),
        ("3.6.10", "3.7.0", "3.6.11 or newer"),
        ("3.6.16", "3.7.0", None),
        ("3.5.32", "3.7.0", "more than one minor"),
        ("3.7.0", "3.6.16", "restoring a snapshot"),
        ("3.6.8", "3.6.16", None),
    ],
)
def test_etcd_upgrade(current: str, wanted: str, words: str | None) -> None:
    said = etcd_upgrade_problem(current, wanted)
    assert (said is None) if words is None else (said is not None and words in said)
