"""A lab per topology: three members on hosts of their own, or on three control planes."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from kubeforge.lab.lab import Lab
from kubeforge.lab.removal import remains, remove
from tests.e2e.faults.conftest import LABS, Forge

SIZES: dict[str, dict[str, Any]] = {
    "external": {"control_planes": 1, "etcd": 3, "workers": 1},
    "stacked": {"control_planes": 3, "etcd": 0, "workers": 0},
}
_PKI = "/etc/kubernetes/pki/etcd"
_TLS = f"--cacert={_PKI}/ca.crt --cert={_PKI}/healthcheck-client.crt --key={_PKI}/healthcheck-client.key"


@dataclass(frozen=True)
class Etcd(Forge):
    """The command on a lab whose etcd has three members.

    Args:
        topology: `external` or `stacked`.
        before: what each host was made of before anything was done.
    """

    topology: str = ""
    before: dict[str, list[str]] = field(default_factory=dict)

    @property
    def members(self) -> list[str]:
        """Hosts of the members."""
        role = "etcd" if self.topology == "external" else "cp"
        return [host.name for host in self.lab.hosts if host.role == role]

    def listed(self, host: str) -> dict[str, dict[str, Any]]:
        """Return the members by name, as the one on a host knows them."""
        command = f"/usr/local/bin/etcdctl --endpoints=https://127.0.0.1:2379 {_TLS} member list -w json"
        told = json.loads(self.sh(host, command))["members"]
        return {one.get("name", ""): one for one in told}

    def lose_data(self, *hosts: str) -> None:
        """Let members lose their data, as by a disk that was replaced."""
        for host in hosts:
            self.sh(host, "rm -rf /var/lib/etcd/member; pkill -KILL -x etcd || true")

    def snapshots(self) -> dict[str, list[str]]:
        """Return what every host is made of: one sorted line per thing."""
        script = (Path(__file__).parents[1] / "snapshot.sh").read_text()
        return {host.name: sorted(set(self.sh(host.name, script).splitlines())) for host in self.lab.hosts}


@pytest.fixture(scope="package", params=SIZES)
def etcd(request: pytest.FixtureRequest) -> Iterator[Etcd]:
    """Bare hosts, and the command on them."""
    if os.geteuid() != 0:
        pytest.skip("labs need root")
    LABS.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="etcd-", dir=LABS))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBEFORGE_LABS", str(folder))
            try:
                with Lab.up(f"etcd-{request.param}", **SIZES[request.param]) as lab:
                    yield Etcd(lab, lab.inventory, folder / "state", topology=request.param)
            finally:
                for left in remains():
                    remove(left)
    finally:
        shutil.rmtree(folder)
