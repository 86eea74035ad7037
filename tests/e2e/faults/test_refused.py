"""Hosts that cannot be entered or are not fit: refused before any host is touched, and fit once they are mended."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from kubeforge.lab.faults import partitioned
from tests.waiting import listening

pytestmark = pytest.mark.lab

OnHost = Callable[[str, str, str], AbstractContextManager[None]]
Change = Callable[[dict[str, Any]], object]


@pytest.fixture(autouse=True)
def bare(forge: Any) -> Iterator[None]:
    """Whatever a test does: no host was changed by it."""
    yield
    assert forge.untouched()


def variables(**changes: Any) -> Change:
    """Change what all hosts have in common."""
    return lambda data: data["all"]["vars"].update(changes)


def test_a_host_without_power(forge: Any) -> None:
    forge.lab.host("w1").kill()
    try:
        said = forge.apply("-e", "ansible_timeout=2").check(11, "Nothing was done")
    finally:
        forge.lab.host("w1").start()
    said.names("w1", "connect", f"no answer from {forge.lab.host('w1').address}", "see that the host is up")
    assert "Plan:" not in said.out, "a plan that will not be carried out is not shown"


def test_a_host_cut_off_from_the_network(forge: Any) -> None:
    with partitioned(forge.lab.host("cp1")):
        said = forge.apply("-e", "ansible_timeout=2").check(11)
    said.names("cp1", "connect", "no answer", "see that the host is up and no firewall drops the packets")


def test_both_away_are_both_named(forge: Any) -> None:
    with partitioned(*forge.lab.hosts):
        said = forge.run("plan", "-e", "ansible_timeout=2").check(11)
    for host in ("cp1", "w1"):
        said.names(host, "connect", "no answer", "see that the host is up")


def test_no_ssh_server(forge: Any) -> None:
    said = forge.apply("-e", "ansible_port=2222").check(11)
    said.names("w1", "connect", "refuses the connection: the host is up", "correct ansible_port")


def test_an_unknown_host_key(forge: Any, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    known.write_text("")
    options = variables(ansible_ssh_common_args=f"-o UserKnownHostsFile={known}")
    said = forge.with_hosts(tmp_path, options).apply().check(11)
    said.names("w1", "connect", f"is not in {known}", "compare on the host's console: ssh-keygen -lf")
    assert known.read_text() == "", "no key is ever taken on trust"


def test_a_changed_host_key(forge: Any, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    lines = [line.split() for line in forge.lab.paths.known_hosts.read_text().splitlines()]
    other = {"cp1": "w1", "w1": "cp1"}
    addresses = {host.address: host.name for host in forge.lab.hosts}
    swapped = [f"{forge.lab.host(other[addresses[address]]).address} {kind} {key}" for address, kind, key in lines]
    known.write_text("\n".join(swapped) + "\n")
    options = variables(ansible_ssh_common_args=f"-o UserKnownHostsFile={known}")
    said = forge.with_hosts(tmp_path, options).apply().check(11)
    said.names("cp1", "connect", "is not the known one", "ssh-keygen -R")
    said.names("w1", "connect", "is not the known one", "ssh-keygen -R")


def test_a_key_that_opens_nothing(forge: Any, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = tmp_path / "key"
    key.touch(0o600)
    form, none = serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    key.write_bytes(Ed25519PrivateKey.generate().private_bytes(serialization.Encoding.PEM, form, none))
    said = forge.with_hosts(tmp_path, variables(ansible_ssh_private_key_file=str(key))).apply().check(11)
    said.names("w1", "connect", f"offered: key {key}", "ssh-copy-id root@")


def test_a_user_who_is_not_root(forge: Any, tmp_path: Path) -> None:
    said = forge.with_hosts(tmp_path, variables(ansible_user="ops")).apply().check(11)
    said.names("w1", "preflight.check", "runs as ops, who is not root", "ansible_become: true")


def test_resetting_as_a_user_who_is_not_root(forge: Any, tmp_path: Path) -> None:
    said = forge.with_hosts(tmp_path, variables(ansible_user="ops")).run("reset", "--yes").check(11)
    said.names("w1", "reset.stop", "runs as ops, who is not root", "ansible_become: true")


def test_sudo_wants_a_password(forge: Any, tmp_path: Path) -> None:
    options = variables(ansible_user="opspw", ansible_become=True)
    said = forge.with_hosts(tmp_path, options).apply().check(11)
    said.names("w1", "sudo", "sudo does not make opspw root", "ansible_become_password")


def test_sudo_refuses_the_password(forge: Any, tmp_path: Path) -> None:
    secret = "not-the-right-one"
    options = variables(ansible_user="opspw", ansible_become=True, ansible_become_password=secret)
    said = forge.with_hosts(tmp_path, options).apply("-v").check(11)
    said.names("w1", "sudo", "sudo refuses the password", "correct ansible_become_password")
    assert secret not in said.text


def test_no_sudo_on_the_host(forge: Any, tmp_path: Path, on_host: OnHost) -> None:
    options = variables(ansible_user="ops", ansible_become=True)
    with on_host("w1", "mv /usr/bin/sudo /usr/bin/sudo.away", "mv /usr/bin/sudo.away /usr/bin/sudo"):
        said = forge.with_hosts(tmp_path, options).apply().check(11)
    said.names("w1", "sudo", "not found", "install sudo on the host")


def taken(port: int) -> str:
    """Return what lets another program have a port of a host."""
    other = f"socat TCP-LISTEN:{port},fork,reuseaddr EXEC:cat"
    return f"systemd-run -q --collect --unit=taken-{port} {other}; {listening(port)}"


ALPINE = 'ID=alpine\\nPRETTY_NAME="Alpine Linux v3.20"\\n'
LATER = '#!/bin/sh\\nexec /run/date.true -d "+3 hours" "$@"\\n'
DATE = f"cp /usr/bin/date /run/date.true; printf '{LATER}' >/run/date; chmod 755 /run/date"
UNFIT = {
    "wrong OS": (
        "w1",
        f"printf '{ALPINE}' >/run/os; mount --bind /run/os /etc/os-release",
        "umount /etc/os-release",
        "os: Alpine Linux v3.20 is of no known family (Debian, RHEL, SUSE)",
    ),
    "too little memory": (
        "cp1",
        "sed 's/^MemTotal.*/MemTotal: 614400 kB/' /proc/meminfo >/run/mem; mount --bind /run/mem /proc/meminfo",
        "umount /proc/meminfo",
        "memory: 600 MiB of memory; it needs 900 MiB at the very least",
    ),
    "disk full": (
        "w1",
        "mkdir -p /var/lib/containerd; mount -t tmpfs -o size=64m tmpfs /var/lib/containerd",
        "umount /var/lib/containerd",
        "disk: /var/lib/containerd has 64 MiB left; it needs 2048 MiB",
    ),
    # The kernel's clock is the machine's own; `date` is what the host is asked, so `date` is what is wrong.
    "clock off by hours": (
        "w1",
        f"{DATE}; mount --bind /run/date /usr/bin/date",
        "umount /usr/bin/date",
        "s off this machine's; certificates would not be valid there: timedatectl set-ntp true",
    ),
    "port 6443 taken": (
        "cp1",
        taken(6443),
        "systemctl stop taken-6443",
        "port-6443: port 6443 is taken by socat; kube-apiserver needs it",
    ),
    "port 2379 taken": (
        "cp1",
        taken(2379),
        "systemctl stop taken-2379",
        "port-2379: port 2379 is taken by socat; etcd needs it",
    ),
    "port 10250 taken": (
        "w1",
        taken(10250),
        "systemctl stop taken-10250",
        "port-10250: port 10250 is taken by socat; kubelet needs it",
    ),
}


@pytest.mark.parametrize("fault", UNFIT)
def test_unfit(forge: Any, on_host: OnHost, fault: str) -> None:
    host, make, mend, finding = UNFIT[fault]
    with on_host(host, make, mend):
        said = forge.apply().check(12, "Nothing was done")
    said.names(host, "preflight.check", finding, "-e preflight_ignore=")


TWINS = {
    "hostname": ("hostname", "hostname {0}"),
    "machine-id": ("cat /etc/machine-id", "echo {0} >/etc/machine-id"),
}


@pytest.mark.parametrize("what", TWINS)
def test_two_hosts_that_say_the_same_of_themselves(forge: Any, on_host: OnHost, what: str) -> None:
    ask, tell = TWINS[what]
    first, own = (forge.sh(host, ask).strip() for host in ("cp1", "w1"))
    with on_host("w1", tell.format(first), tell.format(own)):
        said = forge.apply().check(12)
    told, other = ("w1", "cp1") if "w1: preflight.check: not fit" in said.err else ("cp1", "w1")
    said.names(told, "preflight.check", f"{what}: {other} has the same {what} {first}", f"preflight_ignore={what}")


def test_everything_that_is_wrong_is_said_at_once(forge: Any, on_host: OnHost) -> None:
    with contextlib.ExitStack() as stack:
        for fault in ("wrong OS", "disk full", "port 10250 taken"):
            host, make, mend, _ = UNFIT[fault]
            stack.enter_context(on_host(host, make, mend))
        said = forge.run("plan").check(12)
    said.names("w1", "preflight.check", "3 reasons", "preflight_ignore=os,disk,port-10250")


def test_mended_all_of_them_are_fit(forge: Any) -> None:
    forge.run("plan", "--detailed-exitcode").check(2)
