"""A lab per topology: three members on control planes, or on hosts of their own; and a client that writes numbers."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from tests.e2e.conftest import wait_until
from tests.e2e.faults.conftest import Started
from tests.e2e.ha.conftest import Ha, made
from tests.e2e.ha.test_changing import PATIENT

SIZES: dict[str, dict[str, Any]] = {
    "stacked": {"control_planes": 3, "etcd": 0, "workers": 1},
    "external": {"control_planes": 1, "etcd": 3, "workers": 1},
}
SNAPSHOTS = "/var/lib/kubeforge/snapshots"


@dataclass(frozen=True)
class Shelf:
    """The command on a lab whose etcd has three members.

    Args:
        forge: the command.
        topology: `stacked` or `external`.
    """

    forge: Ha
    topology: str

    @property
    def members(self) -> list[str]:
        role = "cp" if self.topology == "stacked" else "etcd"
        return [host.name for host in self.forge.lab.hosts if host.role == role]

    def snapshots(self) -> list[dict[str, Any]]:
        told = self.forge.run("etcd snapshot list", "-o", "json").check(0)
        listed: list[dict[str, Any]] = json.loads(told.out)["snapshots"]
        return listed

    def save(self, *words: str) -> dict[str, Any]:
        """Take a snapshot; return what is said of it."""
        self.forge.run("etcd snapshot save", *words).check(0)
        return self.snapshots()[-1]

    def restore(self, name: str) -> None:
        self.forge.run("etcd snapshot restore", name, "--yes").check(0)

    def write(self) -> list[str]:
        """Let a client write numbered ConfigMaps; return the names that were acknowledged."""
        server = f"https://{self.forge.lab.host(self.forge.planes[0]).address}:6443"
        with self.forge.client("w1", server, PATIENT) as watched:
            watched.answered()
        return list(watched.record.acknowledged)

    def lose(self, *hosts: str) -> None:
        """Let members lose their data, as by a disk that was replaced."""
        for host in hosts:
            self.forge.sh(host, "rm -rf /var/lib/etcd/member; pkill -KILL -x etcd || true")

    @contextmanager
    def begun(self, name: str) -> Iterator[Started]:
        """Start a restore that answers itself; whatever is left of it in the end is killed."""
        known = set(self.forge.runs())
        argv = self.forge.argv("etcd snapshot restore", name, "--yes")
        with (
            tempfile.TemporaryFile("w+") as out,
            tempfile.TemporaryFile("w+") as err,
            subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self.forge.variables,
                start_new_session=True,
            ) as child,
        ):
            try:
                yield Started(self.forge, child, out, err, known)
            finally:
                child.kill()

    def proves(self, keys: Sequence[str]) -> None:
        """Fail unless all these keys are there, and the cluster works as before."""
        missing = set(keys) - self.forge.written()
        assert not missing, f"{len(missing)} of {len(keys)} acknowledged keys are gone: {sorted(missing)[:5]}"
        self.forge.until_good(120)
        self.forge.ready()
        self.forge.kubectl("-n", "kube-system", "rollout", "restart", "deployment/coredns")
        self.forge.kubectl("-n", "kube-system", "rollout", "status", "deployment/coredns", "--timeout=120s")
        # Nodes learn one after the other that the old pods of CoreDNS have gone.
        plan = partial(self.forge.run, "plan", "--detailed-exitcode")
        wait_until(lambda: plan().code == 0, why=lambda: plan().text)


@pytest.fixture(scope="module", params=SIZES)
def shelf(request: pytest.FixtureRequest) -> Iterator[Shelf]:
    """A living cluster."""
    with made(f"snap-{request.param}", **SIZES[request.param]) as forge:
        forge.apply().check(0)
        forge.until_good()
        yield Shelf(forge, request.param)
