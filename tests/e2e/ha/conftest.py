"""A lab of three control planes and a worker for all files, in their order, and a client that asks without rest."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeforge.lab.lab import Lab
from kubeforge.lab.removal import remains, remove
from kubeforge.spec.paths import HAPROXY_UNIT
from kubeforge.spec.releases import RECOMMENDED
from tests.e2e.conftest import wait_until
from tests.e2e.faults.conftest import Forge

LABS = Path("/var/lib/kubeforge")
PATIENCE = 30.0
QUICK = ("-e", "ansible_timeout=2")
LONGEST = 5.0
"""Seconds without an answer that the death of any one control plane may cost."""
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a client saw.

    Args:
        loops: name -> when it was answered (monotonic seconds), and what failed when.
        acknowledged: names of the ConfigMaps that were written.
        closed: how often a server closed a kept connection between two requests.
        sent_on: how many requests on kept connections a server that was ending sent to another.
        cut: how many were on their way when the server closed their kept connection, and were sent again.
        balancer: what the balancer beside the client said meanwhile, with monotonic seconds.
    """

    loops: Mapping[str, Mapping[str, Sequence[Any]]]
    acknowledged: Sequence[str]
    closed: int = 0
    sent_on: int = 0
    cut: int = 0
    balancer: Sequence[str] = ()

    @property
    def failures(self) -> dict[str, Sequence[Any]]:
        """All requests that failed, by loop: no answer, a connection that broke, 429, 5xx, a status not meant."""
        return {name: loop["bad"] for name, loop in self.loops.items() if loop["bad"]}

    def rate(self, loop: str) -> float:
        """Return how many good answers there were in a second."""
        good: Sequence[float] = self.loops[loop]["good"]
        return len(good) / (good[-1] - good[0])

    def gap(self, loop: str) -> float:
        """Return the longest time without a good answer, seconds."""
        good: Sequence[float] = self.loops[loop]["good"]
        return max(after - before for before, after in pairwise(good))

    def cut_off(self) -> list[str]:
        """Return how connections ended or were refused; late answers of a busy machine are not among it."""
        failures = [words for loop in self.loops.values() for _, words in loop["bad"]]
        told = [words for words in failures if not words.startswith(("TimeoutError", "RuntimeError"))]
        return [*told, *["a kept connection was cut under a request"] * self.cut]

    def told(self) -> str:
        """Return what to know when it was too long."""
        lines = [
            f"{name}: {len(loop['good'])} good, {self.rate(name):.1f} a second, longest gap {self.gap(name):.2f} s, "
            f"{len(loop['bad'])} failures {loop['bad'][:5]}"
            for name, loop in self.loops.items()
        ]
        kept = f"kept connections: {self.closed} closed between requests, {self.sent_on} sent on, {self.cut} cut"
        return "\n".join([*lines, kept, *self.balancer])


@dataclass
class Watched:
    """A client under way; `record` is there once it has ended."""

    child: subprocess.Popen[str]
    record: Record = field(default_factory=lambda: Record(loops={}, acknowledged=()))

    def answered(self) -> None:
        """Wait until it has had some more answers of every sort."""
        assert self.child.stdin is not None
        self.child.stdin.write("\n")
        self.child.stdin.flush()
        self._read()

    def _read(self) -> None:
        assert self.child.stdout is not None
        told, _, _ = select.select([self.child.stdout], [], [], PATIENCE)
        assert told, f"no answers within {PATIENCE:.0f} s"
        assert self.child.stdout.readline() == "answered\n"


@dataclass(frozen=True)
class Ha(Forge):
    """The command on a lab of several control planes."""

    def get(self, *words: str) -> Any:
        """Return what `kubectl get` says, as data."""
        argv = self.argv("kubectl", "--", "get", *words, "-o", "json")
        done = subprocess.run(argv, capture_output=True, text=True, check=False, env=self.variables, timeout=60)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    @property
    def planes(self) -> list[str]:
        return [host.name for host in self.lab.hosts if host.role == "cp"]

    def is_good(self) -> bool:
        """Whether `status` finds everything well."""
        return self.run("status").code == 0

    def until_good(self, seconds: float = 60.0) -> None:
        wait_until(self.is_good, seconds=seconds, why=lambda: self.run("status").text)

    def problems(self) -> list[dict[str, str]]:
        """Return what `status` says is amiss; hosts that do not answer are not waited for."""
        told = json.loads(self.run("status", "-o", "json", *QUICK).out)
        return list(told["problems"])

    def until_named(self, kind: str, where: str) -> str:
        """Wait until `status` names a problem; return its remedy."""
        found: list[str] = []

        def named() -> bool:
            found[:] = [one["remedy"] for one in self.problems() if (one["kind"], one["where"]) == (kind, where)]
            return bool(found)

        wait_until(named, why=lambda: str(self.problems()))
        return found[0]

    def etcdctl(self, host: str, *words: str) -> Any:
        """Ask the member on a host, and all others through it."""
        pki = "/etc/kubernetes/pki/etcd"
        keys = f"--cacert={pki}/ca.crt --cert={pki}/healthcheck-client.crt --key={pki}/healthcheck-client.key"
        # 30 s: where the leader has just gone, the others elect one first, and two cores are busy
        command = f"etcdctl --command-timeout=30s --endpoints=https://127.0.0.1:2379 {keys} {' '.join(words)} -w json"
        return json.loads(self.sh(host, command))

    def leader(self) -> str:
        """Return the host of etcd's leader."""
        members = {one["ID"]: one["name"] for one in self.etcdctl(self.planes[-1], "member", "list")["members"]}
        status = self.etcdctl(self.planes[-1], "endpoint", "status")
        name: str = members[status[0]["Status"]["leader"]]
        return name

    @contextmanager
    def client(self, host: str, server: str, *options: str) -> Iterator[Watched]:
        """Run a client in a host's network; it begins once it has had answers, and is ended in any case.

        Args:
            host: whose network.
            server: `https://host:port` that it asks.
            options: what else it is told.
        """
        kubeconfig = self.run("kubeconfig").check(0).out
        init = self.lab.host(host).init
        assert init is not None
        inside = ["nsenter", f"--net=/proc/{init.pid}/ns/net"]
        argv = [*inside, sys.executable, "-m", "tests.e2e.ha.client", server, *options]
        begun = time.time()
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
            try:
                assert child.stdin is not None
                child.stdin.write(json.dumps(kubeconfig))
                watched = Watched(child)
                watched.answered()
                yield watched
                out, _ = child.communicate(timeout=30)
                watched.record = Record(**json.loads(out), balancer=self._balancer(host, begun))
            finally:
                child.kill()

    def _balancer(self, host: str, since: float) -> list[str]:
        """Return how a host's balancer judged the API servers; nothing where it has none."""
        unit = HAPROXY_UNIT.rpartition("/")[2]
        words = ["journalctl", "-u", unit, f"--since=@{since:.0f}", "-o", "short-monotonic", "--no-pager"]
        lines = self.lab.host(host).run(words).stdout.splitlines()
        return [line for line in lines if " Server " in line]

    def written(self) -> set[str]:
        """Return the names of all ConfigMaps a client has written."""
        names = {one["metadata"]["name"] for one in self.get("configmaps", "-n", "default")["items"]}
        return {name for name in names if name.startswith("written-")}


@contextmanager
def made(name: str, *, kubernetes: str = RECOMMENDED, **hosts: int) -> Iterator[Ha]:
    """Make a lab of some hosts and take it down, with whatever else is left in its folder."""
    if os.geteuid() != 0:
        pytest.skip("labs need root")
    LABS.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="ha-", dir=LABS))
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBEFORGE_LABS", str(folder))
            try:
                with Lab.up(name, kubernetes=kubernetes, progress=None, **hosts) as lab:
                    yield Ha(lab, lab.inventory, folder / "state", {"KUBEFORGE_LABS": str(folder)})
            finally:
                for left in remains():
                    remove(left)
    finally:
        shutil.rmtree(folder)


def spec_of(forge: Ha, **changes: Any) -> None:
    """Change the lab's own cluster.yml."""
    file = forge.inventory / "cluster.yml"
    file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **changes}, sort_keys=False))


@pytest.fixture(scope="package")
def ha() -> Iterator[Ha]:
    """Three bare hosts for control planes and one for a worker."""
    with made("ha", control_planes=3, workers=1) as forge:
        yield forge


@pytest.fixture(scope="module")
def trio(ha: Ha) -> Ha:
    """The same, when they live."""
    ha.apply().check(0)
    ha.until_good()
    return ha
