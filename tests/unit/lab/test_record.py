"""What a lab is: names, addresses, limits, and its file."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from kubeforge.errors import LabError
from kubeforge.lab.record import LabRecord, Shape, addresses, check_name, check_version, hosts_of, virtual_address


def record(number: int = 3, **shape: int) -> LabRecord:
    return LabRecord(name="demo", number=number, shape=Shape(**shape), kubernetes="1.36.3", image="/image")


def test_names_and_addresses() -> None:
    hosts = record(control_planes=2, workers=1, etcd=1, load_balancers=2).hosts
    assert [(host.name, host.role, host.address) for host in hosts] == [
        ("cp1", "cp", "10.77.3.11"),
        ("cp2", "cp", "10.77.3.12"),
        ("e1", "etcd", "10.77.3.31"),
        ("w1", "worker", "10.77.3.51"),
        ("lb1", "balancer", "10.77.3.2"),
        ("lb2", "balancer", "10.77.3.3"),
    ]


def test_a_bigger_lab_keeps_the_addresses_of_a_smaller_one() -> None:
    small = record(control_planes=1, workers=2).hosts
    big = record(control_planes=3, workers=5, etcd=3, load_balancers=2).hosts
    assert set(small) < set(big)


def test_the_biggest_lab_fits_its_subnet() -> None:
    hosts = hosts_of(Shape(control_planes=20, workers=200, etcd=20, load_balancers=9), 255)
    everywhere = [host.address for host in hosts] + [*addresses(255), virtual_address(255)]
    assert len(set(everywhere)) == 252
    assert all(IPv4Address(address) in IPv4Network("10.77.255.0/24") for address in everywhere)
    assert len({host.mac for host in hosts}) == 249
    assert all(len(f"v-{host.name}") <= 15 for host in hosts), "longer names are no link names"


@pytest.mark.parametrize(
    "shape",
    [
        {"control_planes": 0, "workers": 0},
        {"workers": -1},
        {"workers": 201},
        {"control_planes": 21},
        {"load_balancers": 10},
    ],
)
def test_impossible_shapes(shape: dict[str, int]) -> None:
    with pytest.raises(LabError):
        record(**shape).hosts  # noqa: B018 - the property is what refuses


@pytest.mark.parametrize("name", ["", "-a", "a-", "A", "a.b", "a/b", "..", "a" * 33, "1a", "a_b"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(LabError, match="cannot be a lab's name"):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "lab", "lab-2", "a" * 32])
def test_names(name: str) -> None:
    check_name(name)


@pytest.mark.parametrize("version", ["1.36", "v1.36.3", "1.36.3\n", "latest", "2.1.0"])
def test_versions_that_are_none(version: str) -> None:
    with pytest.raises(LabError, match="no Kubernetes version"):
        check_version(version)


def test_the_file_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    assert LabRecord.read(path) is None
    record(workers=4).write(path)
    assert LabRecord.read(path) == record(workers=4)
    assert [file.name for file in tmp_path.iterdir()] == ["lab.json"]


def test_a_file_of_a_lab_without_balancers(tmp_path: Path) -> None:
    path = tmp_path / "lab.json"
    record(workers=4).write(path)
    said = json.loads(path.read_text())
    del said["shape"]["load_balancers"]  # as versions before wrote it
    path.write_text(json.dumps(said))
    assert LabRecord.read(path) == record(workers=4)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"name": "x", "shape": {"bogus": 1}}'])
def test_a_file_that_is_no_record(tmp_path: Path, text: str) -> None:
    path = tmp_path / "lab.json"
    path.write_text(text)
    with pytest.raises(LabError, match="not a lab's record"):
        LabRecord.read(path)


def test_an_unknown_host_names_the_known() -> None:
    with pytest.raises(LabError, match="no host 'w9'") as caught:
        record(workers=1).host("w9")
    assert "cp1, w1" in str(caught.value)


def test_a_host_with_another_address_keeps_all_else() -> None:
    first = record(control_planes=2, workers=1)
    moved = first.with_address("cp1", "10.77.3.99")
    assert [host.address for host in moved.hosts] == ["10.77.3.99", "10.77.3.12", "10.77.3.51"]
    assert [(host.name, host.mac) for host in moved.hosts] == [(host.name, host.mac) for host in first.hosts]
    again = moved.with_address("cp2", None).with_address("cp1", None)
    addresses_now = [host.address for host in again.hosts]
    assert len({*addresses_now, "10.77.3.11", "10.77.3.12", "10.77.3.99"}) == 6, "none that was had before"
    assert again.with_address("cp1", "10.77.3.11").host("cp1").address == "10.77.3.11", "back again"


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("10.77.3.12", "cp2's"),
        ("10.77.3.1", "the gateway's"),
        ("10.77.3.254", "this machine's"),
        ("10.77.4.9", "not in the lab's network"),
    ],
)
def test_an_address_must_be_free_and_of_the_lab(address: str, said: str) -> None:
    with pytest.raises(LabError, match=said):
        record(control_planes=2).with_address("cp1", address)


def test_another_address_is_remembered(tmp_path: Path) -> None:
    moved = record(control_planes=1).with_address("cp1", "10.77.3.99")
    moved.write(tmp_path / "lab.json")
    assert LabRecord.read(tmp_path / "lab.json") == moved
