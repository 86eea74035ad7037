"""Shared by all tests: golden files, and one small cluster to render."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from kubeforge.artifacts.catalogue import image_references
from kubeforge.artifacts.model import Versions
from kubeforge.engine.memory import ordinary_facts
from kubeforge.engine.model import Facts
from kubeforge.inventory.model import CONTROL_PLANE, ETCD, LOAD_BALANCERS, WORKERS, Connection, Host, Inventory
from kubeforge.spec.model import ClusterSpec
from kubeforge.spec.releases import MINORS, release

GOLDEN = Path(__file__).parent / "golden"
PATCHES = {"1.35": "1.35.4", "1.36": "1.36.3", "1.37": "1.37.0"}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write tests/golden anew instead of comparing")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Return `check(name, text)`: text must be what tests/golden/NAME holds."""
    update: bool = request.config.getoption("--update-golden")

    def check(name: str, text: str) -> None:
        path = GOLDEN / name
        if update:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
            return
        if not path.is_file():
            pytest.fail(f"tests/golden/{name} is missing: pytest --update-golden")
        was = path.read_text()
        if was != text:
            lines = difflib.unified_diff(was.splitlines(), text.splitlines(), "golden", "now", lineterm="")
            pytest.fail(f"tests/golden/{name} differs (meant? pytest --update-golden)\n" + "\n".join(lines))

    return check


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """A cluster to render: spec, inventory, facts of every host, images."""

    spec: ClusterSpec
    inventory: Inventory
    facts: dict[str, Facts]
    images: dict[str, str]

    @property
    def first(self) -> Host:
        """The first control plane."""
        return self.inventory.control_planes[0]


def make_facts(name: str, **changes: Any) -> Facts:
    """Return facts of an ordinary Debian host, which has kubeadm's extra directories of CA certificates."""
    directories = ("/etc/ca-certificates", "/usr/share/ca-certificates")
    return ordinary_facts(name, **{"ca_directories": directories, **changes})


def make_sample(
    version: str = "1.36.3",
    *,
    control_planes: int = 1,
    workers: int = 2,
    etcd_hosts: int = 0,
    load_balancers: int = 0,
    facts: dict[str, Any] | None = None,
    **spec: Any,
) -> Sample:
    """Return a cluster of given size; hosts are cp1…, w1…, lb1…, e1… at 192.0.2.11…, .21…, .31…, .41…."""
    names = {f"cp{n}": (f"192.0.2.{10 + n}", CONTROL_PLANE) for n in range(1, control_planes + 1)}
    names |= {f"w{n}": (f"192.0.2.{20 + n}", WORKERS) for n in range(1, workers + 1)}
    names |= {f"lb{n}": (f"192.0.2.{30 + n}", LOAD_BALANCERS) for n in range(1, load_balancers + 1)}
    names |= {f"e{n}": (f"192.0.2.{40 + n}", ETCD) for n in range(1, etcd_hosts + 1)}
    if etcd_hosts:
        spec["etcd"] = {"topology": "external", **spec.get("etcd", {})}
    hosts = {
        name: Host(name=name, connection=Connection(address=address), groups=frozenset({group}))
        for name, (address, group) in names.items()
    }
    groups = {
        "all": tuple(hosts),
        **{
            role: tuple(name for name, (_, group) in names.items() if group == role)
            for role in (CONTROL_PLANE, WORKERS, LOAD_BALANCERS)
        },
    }
    if etcd_hosts:
        groups[ETCD] = tuple(name for name, (_, group) in names.items() if group == ETCD)
    return Sample(
        spec=ClusterSpec.model_validate({"name": "demo", "kubernetes": version, **spec}),
        inventory=Inventory(hosts=hosts, groups=groups),
        facts={
            name: make_facts(name, **{"addresses": {"eth0": (f"{host.address}/24",)}, **(facts or {})})
            for name, host in hosts.items()
        },
        images=image_references(Versions.of(release(version), version)),
    )


@pytest.fixture
def sample() -> Callable[..., Sample]:
    """Return the maker of small clusters."""
    return make_sample


@pytest.fixture(params=MINORS)
def minor(request: pytest.FixtureRequest) -> str:
    """Each Kubernetes minor in turn."""
    value: str = request.param
    return value


@pytest.fixture
def of_minor(minor: str) -> Sample:
    """One control plane and two workers of each minor in turn."""
    return make_sample(PATCHES[minor])
