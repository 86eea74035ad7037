"""The facts script and its parser: answers captured on real hosts (answers/), and the script run here."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kubeforge.engine.facts import SCRIPT, UNFINISHED, gather, parse
from kubeforge.errors import HostBusy, ProtocolError
from kubeforge.operations.model import Queries
from kubeforge.spec.paths import BUSY_DEADLINE, GENERATIONS, LOCK, RUN_NOTE
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import MemoryHost
from kubeforge.transport.protocol.note import opening

ANSWERS = Path(__file__).parent / "answers"


def answer(name: str) -> str:
    return (ANSWERS / f"{name}.txt").read_text()


def test_a_debian_host_in_the_lab() -> None:
    facts = parse(answer("debian12-managed"), sent=1795259691.0, received=1795259693.0)
    assert facts.hostname == "w1"
    assert (facts.os_id, facts.os_version, facts.os_name) == ("debian", "12", "Debian GNU/Linux 12 (bookworm)")
    assert facts.os_like == {"debian"}
    assert (facts.arch, facts.kernel) == ("amd64", "6.18.44-fc-v669")
    assert (facts.cpus, facts.memory) == (2, 24684084 * 1024)
    assert facts.disks["/"][1] == 66053021 * 4096
    assert "/var/lib/kubelet" not in facts.disks
    assert (facts.cgroup, facts.systemd, facts.selinux, facts.swap) == (1, True, "disabled", ())
    assert facts.addresses == {"eth0": ("10.77.2.51/24",)}
    assert facts.listening == {("tcp", 22): ""}
    assert facts.capabilities == 0x1FFFCFCFFFF
    assert facts.uid == 1000
    assert facts.resolv_conf == "/etc/resolv.conf"
    assert facts.ca_directories[0] == "/etc/ca-certificates"
    assert not facts.conntrack_writable
    assert abs(facts.clock_skew) < 2


@pytest.mark.parametrize("name", ["debian12-fresh", "debian12-without-ss-and-ip"])
def test_on_a_fresh_host_listeners_have_names(name: str) -> None:
    assert parse(answer(name)).listening == {("tcp", 22): "sshd"}


def test_without_ip_addresses_come_from_proc() -> None:
    assert parse(answer("debian12-without-ss-and-ip")).addresses == {"": ("10.77.2.51/32",)}


def test_busybox() -> None:
    facts = parse(answer("busybox"), sent=1795259692.0, received=1795259692.4)
    assert facts.clock_skew == 0.0
    assert ("tcp", 2024) in facts.listening
    assert facts.addresses["eth0"] == ("fd00::2/64",)
    assert "192.0.2.2/32" in facts.addresses[""]
    assert facts.conntrack_writable


EXTRA = """kubeforge-facts-1
@leader 100.25 7 (bash (x) y) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 9525 1 1
@generations 7
@date 1000100.500000000
@uname node 5.14.0 aarch64
@cgroup2
@resolved
@ca
/etc/os-release:ID="rocky"
/etc/os-release:ID_LIKE="rhel centos fedora"
/proc/swaps:/dev/zram0                              partition\t8388604\t\t0\t\t100
/proc/swaps:/swap\\040file                           file\t8388604\t\t0\t\t-2
/sys/devices/system/cpu/online:0-3,8
/sys/fs/selinux/enforce:1
@disks
@sockets
tcp LISTEN 0 4096 127.0.0.53%lo:53 0.0.0.0:* users:(("systemd-resolve",pid=1,fd=2),("x",pid=2,fd=2))
udp UNCONN 0 0 *:8472 *:*
tcp LISTEN 0 128 [::]:22 [::]:* users:(("sshd",pid=3,fd=4))
tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:*
@addresses
2: eth0@if3    inet 192.0.2.5/24 brd 192.0.2.255 scope global eth0\\ valid_lft forever
2: eth0@if3    inet6 2001:db8::5/64 scope global dynamic \\ valid_lft 100sec
3: cni0    inet 10.244.0.1/24 scope global cni0
kubeforge-facts-end
"""


def test_another_family() -> None:
    facts = parse("motd\nsaid: welcome\n" + EXTRA, sent=1000090.0, received=1000091.0)
    assert facts.os_like == {"rocky", "rhel", "centos", "fedora"}
    assert (facts.arch, facts.cpus, facts.cgroup, facts.selinux) == ("arm64", 5, 2, "enforcing")
    assert facts.swap == ("/dev/zram0", "/swap\\040file")
    assert facts.addresses == {"eth0": ("192.0.2.5/24", "2001:db8::5/64"), "cni0": ("10.244.0.1/24",)}
    assert facts.listening == {("tcp", 53): "systemd-resolve", ("udp", 8472): "", ("tcp", 22): "sshd"}
    assert facts.clock_skew == 9.5
    assert facts.login_seconds == 5.0
    assert facts.generations == 7
    assert facts.resolv_conf == "/run/systemd/resolve/resolv.conf"


@pytest.mark.parametrize("text", ["", "motd\n", EXTRA[: len(EXTRA) // 2], EXTRA.replace("facts-1", "facts-2")])
def test_an_answer_that_is_cut_off_is_refused(text: str) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse(text, host="w1")
    assert caught.value.host == "w1"


@pytest.mark.parametrize("shell", [["sh"], ["dash"], ["bash", "--posix"], ["busybox", "sh"]], ids=" ".join)
def test_the_script_runs_here(shell: list[str]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not here")
    sent = time.time()
    done = subprocess.run(shell, input=SCRIPT.encode(), capture_output=True, check=False, start_new_session=True)
    assert done.stderr == b""
    facts = parse(done.stdout.decode(), sent=sent, received=time.time())
    assert facts.memory > 2**26
    assert facts.cpus >= 1
    assert "/" in facts.disks
    assert abs(facts.clock_skew) < 5
    assert facts.login_seconds < 60


def test_gather_asks_once() -> None:
    host = MemoryHost("w1", commands={("sh",): lambda script: Completed(0, EXTRA.encode() if script else b"")})
    facts, seen = gather(host, Queries(), never)
    assert facts.hostname == "node"
    assert host.round_trips == 1
    host.put("/etc/motd", b"hello")
    _, seen = gather(host, Queries(reads=("/etc/motd",)), never)
    assert seen.contents == {"/etc/motd": b"hello"}
    assert seen.outputs == {}
    assert host.round_trips == 2


def test_what_tasks_ask_a_script_for_reaches_them() -> None:
    """It was thrown away with the answer of the facts' own script: `certs renew` took every kubelet for overdue."""
    host = MemoryHost(
        "w1", commands={("sh",): lambda script: Completed(0, EXTRA.encode() if script == SCRIPT.encode() else b"mine")}
    )
    _, seen = gather(host, Queries(outputs=("cat /some/certificate",)), never)
    assert seen.outputs == {"cat /some/certificate": "mine"}


@pytest.mark.parametrize(
    ("note", "said"), [("begin r 1\nstart 0\n", True), ("begin r 1\nend\n", False), ("begin r 1\nfailed\n", False)]
)
def test_the_script_tells_of_an_act_without_an_end(tmp_path: Path, note: str, said: bool) -> None:
    (tmp_path / "run").write_text(note)
    script = SCRIPT.replace(RUN_NOTE, str(tmp_path / "run"))
    done = subprocess.run(["sh"], input=script, capture_output=True, text=True, check=False, start_new_session=True)
    assert (UNFINISHED in done.stdout) is said
    parse(done.stdout)


@pytest.mark.parametrize("shell", [["sh"], ["bash", "--posix"], ["busybox", "sh"]], ids=" ".join)
@pytest.mark.parametrize("names", [[], ["1-a"], ["origin", "ledger", "2-20261121T1-ab", "10-b"]], ids=len)
def test_generations_are_counted(tmp_path: Path, shell: list[str], names: list[str]) -> None:
    if shutil.which(shell[0]) is None:
        pytest.skip(f"{shell[0]} is not here")
    for name in names:
        (tmp_path / name).mkdir()
    script = SCRIPT.replace(GENERATIONS, str(tmp_path))
    done = subprocess.run(shell, input=script.encode(), capture_output=True, check=True, start_new_session=True)
    assert parse(done.stdout.decode()).generations == len([name for name in names if name[0].isdigit()])


UNFINISHED_ANSWER = EXTRA.replace("@disks\n", f"{UNFINISHED[1:]}@disks\n").encode()


def busy_host(*statuses: int) -> MemoryHost:
    """A host whose act goes on without its controller: flock's statuses in turn; a change more is made each time."""
    left = list(statuses)

    def flock(_: bytes) -> Completed:
        done = len(statuses) - len(left)
        lines = [f"start {number}\n" + f"done {number} 0\n" * (number < done) for number in range(done + 1)]
        host.put(RUN_NOTE, (opening("r1", ["file /a", "file /b", "file /c"], ()) + "".join(lines)).encode())
        return Completed(left.pop(0))

    commands: dict[tuple[str, ...], Callable[[bytes], Completed]] = {
        ("flock", "-w", seconds, LOCK, "true"): flock for seconds in ("0", "5")
    }
    host = MemoryHost("w1", commands={("sh",): lambda _: Completed(0, UNFINISHED_ANSWER), **commands})
    return host


def never(message: str) -> None:
    raise AssertionError(f"it waits: {message}")


def test_gather_waits_for_an_act_that_goes_on_without_its_controller() -> None:
    host = busy_host(1, 1, 0)
    told: list[str] = []
    gather(host, Queries(), told.append)
    assert told == [
        "run r1 goes on there without its controller: 0 of 3 changes are made, now file /a",
        "run r1 goes on there without its controller: 1 of 3 changes are made, now file /b",
    ]
    assert [argv[2] for argv in host.ran if argv[0] == "flock"] == ["0", "5", "5"]


def test_an_act_that_was_cut_off_is_not_waited_for() -> None:
    gather(busy_host(0), Queries(), never)


def test_gather_does_not_wait_for_ever() -> None:
    host = busy_host(*[1] * 100)
    with pytest.raises(HostBusy, match="still works there after 180 s"):
        gather(host, Queries(), lambda _: None)
    assert sum(int(argv[2]) for argv in host.ran if argv[0] == "flock") == BUSY_DEADLINE
