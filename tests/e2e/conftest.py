"""Real clusters: hosts in a lab of their own, made by the command that a user types, once per session and variant.

All tests of a variant share one cluster, file by file as in `ORDER`: what disturbs it comes late, the last file takes
it off its hosts. Only one lab is up at a time; none stays, whatever ends the session.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import testinfra
import yaml
from testinfra.host import Host

from kubeforge.inventory.loader import load as load_inventory
from kubeforge.inventory.model import Inventory
from kubeforge.spec.loader import load as load_spec
from kubeforge.spec.model import ClusterSpec

HERE = Path(__file__).parent
FORGE = Path(sys.executable).parent / "kubeforge"
LABS = Path("/var/lib/kubeforge")
"""On a real disk: an overlay cannot hold the hosts' own overlays."""

ORDER = (
    "test_plan_is_true",
    "test_contract_hosts",
    "test_contract_pki",
    "test_contract_objects",
    "test_network",
    "test_proxy_modes",
    "test_verbs",
    "test_kubeadm_accepts",
    "test_drift",
    "test_reboot",
    "test_many_runs",
    "test_reset",
)
LONGEST = 400.0
"""Seconds that one command may take."""

Done = subprocess.CompletedProcess[str]


@dataclass(frozen=True, kw_only=True)
class Variant:
    """One kind of cluster to prove.

    Args:
        version: of Kubernetes.
        workers: how many.
        spec: what its cluster.yml says more.
    """

    version: str
    workers: int = 2
    spec: Mapping[str, Any] = field(default_factory=dict)


MAIN, OLDER, BRIDGE = "v1.36", "v1.35", "v1.36-bridge-nftables"
VARIANTS = {
    MAIN: Variant(version="1.36.3"),
    OLDER: Variant(version="1.35.4"),
    BRIDGE: Variant(version="1.36.3", workers=1, spec={"network": {"cni": "bridge", "proxy": "nftables"}}),
}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"clusters(name, …): variants to run on, of {', '.join(VARIANTS)}")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cluster" in metafunc.fixturenames:
        marker = metafunc.definition.get_closest_marker("clusters")
        metafunc.parametrize("cluster", marker.args if marker else (MAIN,), indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    ours = [number for number, item in enumerate(items) if item.path.parent == HERE]
    places = sorted(ours, key=lambda number: ORDER.index(items[number].path.stem))
    for place, item in zip(ours, [items[number] for number in places], strict=True):
        item.add_marker(pytest.mark.lab)
        items[place] = item


@dataclass(kw_only=True)
class Cluster:
    """A lab and the cluster on it.

    Attributes:
        name: of the lab and the cluster.
        folder: of the lab.
        variant: what it was asked to be.
        environment: of every command.
        before: what each host was made of before anything was done.
        planned: what `plan -o json` said of the bare hosts.
        agreed: the plan that the first `apply -o json` showed.
        result: what that apply came to.
    """

    name: str
    folder: Path
    variant: Variant
    environment: dict[str, str]
    before: dict[str, list[str]] = field(default_factory=dict)
    planned: dict[str, Any] = field(default_factory=dict)
    agreed: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)

    @property
    def inventory(self) -> Inventory:
        return load_inventory(self.folder / "inventory")

    @property
    def spec(self) -> ClusterSpec:
        return load_spec(self.folder / "inventory", self.inventory)

    @property
    def names(self) -> list[str]:
        return [host.name for host in self.inventory.cluster]

    @property
    def workers(self) -> list[str]:
        return [host.name for host in self.inventory.workers]

    @property
    def first(self) -> str:
        return self.inventory.control_planes[0].name

    @property
    def state(self) -> Path:
        """Where runs are recorded."""
        return Path(self.environment["KUBEFORGE_STATE"])

    def address(self, name: str) -> str:
        return self.inventory.hosts[name].address

    def host(self, name: str) -> Host:
        """Return a host as testinfra sees it."""
        return testinfra.get_host(
            f"ssh://{name}", ssh_config=str(self.folder / "ssh_config"), controlpath=self._mux(name), controlpersist=20
        )

    def _mux(self, name: str) -> str:
        return str(self.folder / f"{name}.mux")

    def sh(self, name: str, script: str) -> str:
        """Run a script as root, past kubeforge; a failure fails the test."""
        options = [
            "-F",
            str(self.folder / "ssh_config"),
            "-o",
            f"ControlPath={self._mux(name)}",
            "-o",
            "ControlMaster=auto",
        ]
        done = self._run(["ssh", *options, "-o", "ControlPersist=20", name, "sh -eus"], stdin=script)
        assert done.returncode == 0, f"{name}: exit {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout

    def forge(self, *words: str, code: int | None = 0, stdin: str | None = None) -> Done:
        """Run kubeforge as a user does: the verb (`token list`), then its words. `code`: its exit code; None: any."""
        verb, *rest = words
        done = self._run([str(FORGE), *verb.split(), "-i", str(self.folder / "inventory"), *rest], stdin=stdin)
        told = f"{' '.join(words)}: exit {done.returncode}\n{done.stdout[-5000:]}\n{done.stderr[-5000:]}"
        assert "Traceback" not in done.stdout + done.stderr, told
        assert code is None or done.returncode == code, told
        return done

    @contextmanager
    def started(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """Start kubeforge, and end it in the end as Ctrl-C does."""
        verb, *rest = words
        argv = [str(FORGE), verb, "-i", str(self.folder / "inventory"), *rest]
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, text=True, env=self.environment, start_new_session=True
        ) as process:
            try:
                yield process
            finally:
                os.killpg(process.pid, signal.SIGINT)  # a terminal tells the whole group
                process.wait(LONGEST)

    def lab(self, verb: str, *words: str) -> Done:
        done = self._run([str(FORGE), "lab", verb, *words])
        assert done.returncode == 0, f"lab {verb}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        return self.forge("kubectl", "--", *words, stdin=stdin).stdout

    def get(self, *words: str) -> Any:
        """Return what `kubectl get` says, as data."""
        return json.loads(self.kubectl("get", *words, "-o", "json"))

    def is_good(self) -> bool:
        """Whether `status` finds everything well."""
        return self.forge("status", code=None).returncode == 0

    def snapshots(self) -> dict[str, list[str]]:
        """Return what every host is made of: one sorted line per thing."""
        script = (HERE / "snapshot.sh").read_text()
        with ThreadPoolExecutor() as pool:
            found = pool.map(lambda name: sorted(set(self.sh(name, script).splitlines())), self.names)
        return dict(zip(self.names, found, strict=True))

    def hang_up(self) -> None:
        """End the connections of `sh` and `host`, before a host goes."""
        for name in self.names:
            options = ["-F", str(self.folder / "ssh_config"), "-o", f"ControlPath={self._mux(name)}"]
            self._run(["ssh", *options, "-O", "exit", name])

    def _run(self, argv: list[str], stdin: str | None = None) -> Done:
        given = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        return subprocess.run(
            argv, capture_output=True, text=True, check=False, env=self.environment, timeout=LONGEST, **given
        )


def wait_until(what: Callable[[], object], *, seconds: float = 60.0, why: Callable[[], str] = str) -> None:
    """Ask until something is so; `why` gives the evidence where it does not become so."""
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            pytest.fail(f"not within {seconds:.0f} s: {why()}")
        time.sleep(0.2)


@contextmanager
def made(name: str, variant: Variant, labs: Path) -> Iterator[Cluster]:
    """Make hosts and a cluster on them; take the lab down in the end."""
    environment = {**os.environ, "KUBEFORGE_LABS": str(labs), "KUBEFORGE_STATE": str(labs / "state"), "COLUMNS": "200"}
    environment.pop("KUBEFORGE_INVENTORY", None)
    cluster = Cluster(name=name, folder=labs / name, variant=variant, environment=environment)
    try:
        cluster.lab("up", name, "--workers", str(variant.workers), "--kubernetes", variant.version)
        file = cluster.folder / "inventory/cluster.yml"
        file.write_text(yaml.safe_dump({**yaml.safe_load(file.read_text()), **variant.spec}))
        cluster.before = cluster.snapshots()
        cluster.planned = json.loads(cluster.forge("plan", "-o", "json").stdout)
        cluster.agreed, cluster.result = documents(cluster.forge("apply", "--yes", "-o", "json").stdout)
        yield cluster
    finally:
        if cluster.folder.exists():
            cluster.hang_up()
        cluster.lab("down", name)
        shutil.rmtree(labs / "state", ignore_errors=True)


def documents(text: str) -> list[Any]:
    """Return all JSON documents of a text."""
    decoder, found, rest = json.JSONDecoder(), [], text.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        found.append(document)
        rest = rest[end:].strip()
    return found


@pytest.fixture(scope="session")
def labs() -> Iterator[Path]:
    """A folder away from the user's own labs. What a killed session left is swept first."""
    if os.geteuid() != 0:
        pytest.skip("labs need root")
    for old in LABS.glob("e2e-*"):
        if not Path(f"/proc/{old.name.removeprefix('e2e-')}").exists():
            environment = {**os.environ, "KUBEFORGE_LABS": str(old)}
            subprocess.run([FORGE, "lab", "down", "--all"], env=environment, check=True, capture_output=True)
            shutil.rmtree(old, ignore_errors=True)
    folder = LABS / f"e2e-{os.getpid()}"
    folder.mkdir(parents=True)
    was = signal.signal(signal.SIGTERM, signal.default_int_handler)  # `timeout` ends a session in order, too
    try:
        yield folder
    finally:
        signal.signal(signal.SIGTERM, was)
        shutil.rmtree(folder)
        with suppress(OSError):  # others' labs are there
            LABS.rmdir()


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, labs: Path) -> Iterator[Cluster]:
    """One cluster per variant, applied."""
    variant: str = request.param
    with made("kf-e2e-" + variant.replace(".", ""), VARIANTS[variant], labs) as one:
        yield one


@pytest.fixture(scope="session")
def pages(cluster: Cluster) -> str:
    """A page served by pods behind a Service, a NodePort and an ingress, and pods that ask; returns the namespace."""
    cluster.kubectl("apply", "-f", "-", stdin=(HERE / "pages.yaml").read_text())
    for what in ("daemonset/hello", "daemonset/asker"):
        cluster.kubectl("-n", "pages", "rollout", "status", what, "--timeout=60s")
    return "pages"
