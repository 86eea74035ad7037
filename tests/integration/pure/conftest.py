"""Real kubeadm, etcd and Kubernetes programs for what the pure layers say, out of the artifacts' cache."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.model import SourceChoice, Versions, silent
from kubeforge.artifacts.resolve import resolve
from kubeforge.pki import kubeconfigs
from kubeforge.pki.certificates import TABLE, Identity, Kind, request
from kubeforge.pki.issue import Authority, authority, key_pair, leaf, new_keys
from kubeforge.spec.addresses import api_endpoint
from kubeforge.spec.releases import release

BUILT = ("1.35.4", "1.36.3")  # what can be compiled where upstream cannot be reached
FOREIGN = ("kube-apiserver", "kube-controller-manager", "kube-scheduler")


@pytest.fixture(params=BUILT)
def version(request: pytest.FixtureRequest) -> str:
    """Each Kubernetes version whose parts can be had."""
    value: str = request.param
    return value


@pytest.fixture
def program(version: str, tmp_path: Path) -> Callable[[str], Path]:
    """Return `program(name)`: the path of a real program, called by its name.

    KUBEFORGE_TEST_PARTS names a folder with VERSION/kubeadm and etcd, where somebody works on the parts themselves.
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    loose = os.environ.get("KUBEFORGE_TEST_PARTS")

    def find(name: str) -> Path:
        link = folder / name
        if not link.exists():
            link.symlink_to(_loose(Path(loose), version, name) if loose else _resolved(version, name))
        return link

    return find


def _loose(folder: Path, version: str, name: str) -> Path:
    within = folder / version / name
    return (within if within.exists() else folder / name).resolve()


def _resolved(version: str, name: str) -> Path:
    parts = resolve(
        Versions.of(release(version), version),
        arches=["amd64"],
        source=SourceChoice(),
        cache=Cache.default(),
        progress=silent,
    )
    # Compiled, all Kubernetes programs are one file that looks at the name it is called by; the servers, which nodes
    # have as images only, are in it too.
    return parts.files["kubelet" if name in FOREIGN else name, "amd64"].path


@pytest.fixture
def make_pki() -> Callable[[Any], tuple[dict[str, bytes], dict[str, Authority]]]:
    """Return `make(cluster)`: path -> bytes of every certificate, key and kubeconfig of cp1, and the authorities."""
    return made_pki


def made_pki(cluster: Any) -> tuple[dict[str, bytes], dict[str, Authority]]:
    """Make every file of the table, and the kubeconfigs: path -> bytes."""
    now = datetime.now(UTC)
    identity = Identity.of(cluster.spec, cluster.inventory, cluster.first)
    days = {"days": cluster.spec.pki.days, "now": now}
    authorities: dict[str, Authority] = {}
    files: dict[str, bytes] = {}
    keys = new_keys(len(TABLE) + len(kubeconfigs.TABLE), cluster.spec.pki.algorithm)
    for row in TABLE:
        key = keys.pop()
        if row.kind is Kind.KEY_PAIR:
            pair = key_pair(key)
            files |= {row.key: pair.private.reveal(), row.certificate: pair.public}
            continue
        says = request(row, identity)
        if row.kind is Kind.AUTHORITY:
            made = authorities[row.name] = authority(says, key, days=cluster.spec.pki.ca_days, now=now)
            files |= {row.key: made.key.reveal(), row.certificate: made.certificate}
            continue
        assert row.signer is not None
        issued = leaf(says, key, authorities[row.signer], **days)
        files |= {row.key: issued.key.reveal(), row.certificate: issued.certificate}
    ca = authorities["ca"]
    for config in kubeconfigs.TABLE:
        issued = leaf(kubeconfigs.request(config), keys.pop(), ca, **days)
        text = kubeconfigs.with_certificate(
            cluster=cluster.spec.name,
            server=api_endpoint(cluster.spec, cluster.inventory),
            ca=ca.certificate,
            name=config.common_name,
            issued=issued,
        )
        files[config.path] = text.reveal()
    return files, authorities
