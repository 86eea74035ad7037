"""The lab for real: hosts that boot, answer, reboot, are killed and cut off."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from kubeforge.errors import LabError
from kubeforge.lab import default_inventory, waiting
from kubeforge.lab.faults import partitioned
from kubeforge.lab.host import Host
from kubeforge.lab.lab import Lab
from kubeforge.lab.removal import remove

pytestmark = pytest.mark.lab

Enter = Callable[..., subprocess.CompletedProcess[str]]
Namespaces = Callable[[Sequence[Host]], frozenset[str]]
Traces = Callable[..., list[str]]


def test_hosts_answer_ssh_with_their_known_keys(lab: Lab, ssh: Enter) -> None:
    for host in lab.hosts:
        answer = ssh(host.name, "hostname")
        assert (answer.returncode, answer.stdout) == (0, f"{host.name}\n"), answer.stderr


def test_another_key_is_refused(lab: Lab, tmp_path: Path) -> None:
    first, second = lab.paths.known_hosts.read_text().splitlines()[:3:2]
    swapped = tmp_path / "known_hosts"
    swapped.write_text(f"{first.split()[0]} {second.split(None, 1)[1]}\n")
    ssh, *rest = lab.ssh_command(lab.hosts[0].name, command=["true"])
    command = [ssh, "-o", f"UserKnownHostsFile={swapped}", *rest]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 255
    assert "verification failed" in done.stderr


def test_systemd_is_content(lab: Lab) -> None:
    for host in lab.hosts:
        waiting.until(
            lambda host=host: "running" in host.run(["systemctl", "is-system-running"], check=False).stdout,  # type: ignore[misc]  # mypy and defaults of lambdas
            "all units are up",
            host=host.name,
            deadline=30,
            evidence=lambda host=host: host.run(["systemctl", "--failed"]).stdout.splitlines(),  # type: ignore[misc]  # likewise
        )


def test_users_for_every_kind_of_sudo(ssh: Enter) -> None:
    assert ssh("w1", "sudo", "-n", "id", "-u", user="ops").stdout == "0\n"
    assert ssh("w1", "sudo", "-n", "true", user="opspw").returncode == 1
    assert ssh("w1", "sudo", "-S", "-p", "", "id", "-u", user="opspw", stdin="lab\n").stdout == "0\n"


def test_a_fresh_host(lab: Lab) -> None:
    host = lab.host("w1")
    names = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n10.77.{}.51\tw1\n"
    assert host.run(["cat", "/etc/hosts"]).stdout == names.format(lab.record.number)
    assert host.run(["cat", "/etc/resolv.conf"]).stdout == f"nameserver 10.77.{lab.record.number}.1\n"
    assert host.run(["sysctl", "-n", "net.ipv4.ip_forward"]).stdout == "0\n"
    assert host.run(["sh", "-c", "command -v python3"], check=False).returncode != 0
    ids = {each.run(["cat", "/etc/machine-id"]).stdout for each in lab.hosts}
    assert len(ids) == len(lab.hosts)


def test_what_containerd_and_the_kubelet_need(lab: Lab) -> None:
    script = """set -eu
    d=/var/lib/containerd; mkdir -p $d/lower $d/upper $d/work $d/root
    mount -t overlay overlay -o lowerdir=$d/lower,upperdir=$d/upper,workdir=$d/work $d/root
    touch $d/root/file; umount $d/root; rm -r $d
    for c in $(ls /sys/fs/cgroup); do
        [ -e /sys/fs/cgroup/$c/cgroup.procs ] || continue
        mkdir /sys/fs/cgroup/$c/kubepods; rmdir /sys/fs/cgroup/$c/kubepods
    done
    ip link add test type vxlan id 1 dstport 8472 dev eth0; ip link delete test
    nft add table inet test; nft delete table inet test
    iptables -t nat -N TEST; iptables -t nat -X TEST
    sysctl -qw vm.overcommit_memory=1 kernel.panic=10 kernel.panic_on_oops=1 net.ipv4.ip_forward=1
    for d in /var/lib/etcd /var/lib/kubelet /var/lib/cni /opt/cni /etc/kubernetes; do mkdir -p $d; rmdir $d; done
    """
    before = Path("/proc/sys/kernel/panic").read_text()
    lab.host("w1").run(["sh", "-c", script])
    assert Path("/proc/sys/kernel/panic").read_text() == before, "the machine's own parameter was changed"


def test_neighbours_reach_each_other_and_nobody_else(lab: Lab) -> None:
    host, other = lab.hosts
    banner = "exec 3<>/dev/tcp/{}/22; head -c 4 <&3"
    reach = ["timeout", "3", "bash", "-c"]
    assert host.run([*reach, banner.format(other.address)]).stdout == "SSH-"
    outside = "192.0.2.1"
    assert host.run([*reach, f"exec 3<>/dev/tcp/{outside}/80"], check=False).returncode != 0


def test_reboot(lab: Lab, ssh: Enter) -> None:
    host = lab.host("w1")
    before = host.run(["cat", "/proc/sys/kernel/random/boot_id"]).stdout
    host.run(["sh", "-c", "echo kept > /etc/kept; echo kept > /var/lib/kept; touch /run/lost; iptables -N LOST"])
    host.reboot()
    assert ssh("w1", "cat", "/etc/kept", "/var/lib/kept").stdout == "kept\nkept\n"
    assert ssh("w1", "test", "-e", "/run/lost").returncode == 1
    assert ssh("w1", "iptables", "-L", "LOST").returncode == 1
    assert ssh("w1", "cat", "/proc/sys/kernel/random/boot_id").stdout not in {before, ""}


def test_reboot_from_inside(lab: Lab, ssh: Enter) -> None:
    host = lab.host("w1")
    before = host.init
    ssh("w1", "systemctl", "reboot")
    waiting.until(lambda: host.init not in {None, before}, "it has booted again", host="w1", deadline=30)
    host.wait()


def test_kill_and_start(lab: Lab, ssh: Enter, namespaces: Namespaces, traces: Traces) -> None:
    host, other = lab.host("w1"), lab.host("cp1")
    bystander = other.init
    inside = namespaces([host])
    host.kill()
    assert host.state == "off"
    assert not waiting.answers_ssh(host.address)
    assert traces(999, host.files.folder / "none", inside) == []
    with pytest.raises(LabError, match="off"):
        host.run(["true"])
    with pytest.raises(LabError, match="off"):
        host.reboot()
    host.start()
    assert ssh("w1", "true").returncode == 0
    assert other.init == bystander


def test_power_off(lab: Lab) -> None:
    host = lab.host("w1")
    host.stop()
    assert host.state == "off"
    assert "Powering off." in "\n".join(host.console())
    host.start()


def test_partition_outlives_a_reboot(lab: Lab, ssh: Enter) -> None:
    host, other = lab.host("w1"), lab.host("cp1")
    try_it = ["timeout", "1", "bash", "-c", f"exec 3<>/dev/tcp/{host.address}/22"]
    with partitioned(host):
        assert host.state == "partitioned"
        assert not waiting.answers_ssh(host.address)
        assert other.run(try_it, check=False).returncode != 0
        host.reboot()
        waiting.until(
            lambda: host.run(["systemctl", "is-active", "ssh"], check=False).returncode == 0,
            "sshd runs",
            host="w1",
            deadline=30,
        )
        assert not waiting.answers_ssh(host.address)
    assert other.run(try_it).returncode == 0
    assert ssh("w1", "true").returncode == 0


def test_another_address_at_once_and_after_a_reboot(lab: Lab, ssh: Enter) -> None:
    before, other = lab.host("w1").address, lab.host("cp1")
    inside = lab.host("w1").init
    given = lab.readdress("w1")
    try:
        assert given == lab.host("w1").address != before
        assert given in (lab.inventory / "hosts.yml").read_text()
        assert not waiting.answers_ssh(before)
        assert lab.host("w1").init == inside, "it went on running"
        assert other.run(["timeout", "2", "bash", "-c", f"exec 3<>/dev/tcp/{given}/22"]).returncode == 0
        lab.host("w1").reboot()
        assert ssh("w1", "ip -4 -br address show eth0").stdout.split()[-1] == f"{given}/24"
    finally:
        assert lab.readdress("w1", before) == before
    assert ssh("w1", "true").returncode == 0


def test_a_host_dies_with_its_monitor_and_starts_again(lab: Lab, ssh: Enter) -> None:
    host = lab.host("w1")
    monitor = _monitor(host.files.folder)
    subprocess.run(["kill", "-9", monitor], check=True)
    waiting.until(lambda: host.init is None, "it is off", host="w1", deadline=5)
    host.start()
    assert ssh("w1", "true").returncode == 0
    assert _monitor(host.files.folder) != monitor


def _monitor(folder: Path) -> str:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[-3:-1] == [str(folder.parent.parent).encode(), folder.name.encode()]:
                return entry.name
    raise AssertionError(f"no monitor of {folder}")


def test_a_host_that_cannot_boot_shows_why(lab: Lab) -> None:
    host = lab.host("w1")
    host.kill()
    broken = host.files.upper / "usr/lib/systemd"
    broken.mkdir(parents=True)
    (broken / "systemd").write_text("#!/bin/sh\necho no disk found\nexit 1\n")
    (broken / "systemd").chmod(0o755)
    with pytest.raises(LabError, match="no disk found") as caught:
        host.start()
    assert caught.value.host == "w1"
    (broken / "systemd").unlink()
    host.start()


def test_the_only_lab_is_the_default_inventory(lab: Lab) -> None:
    assert default_inventory() == lab.inventory
    assert Lab.find().name == lab.name


def test_a_second_up_completes(lab: Lab) -> None:
    before = lab.host("cp1").init
    lab.host("w1").kill()
    again = Lab.up(lab.name, control_planes=1, workers=1)
    assert again.record == lab.record
    assert again.host("cp1").init == before
    assert again.host("w1").state == "running"
    with pytest.raises(LabError, match="not shrink"):
        Lab.up(lab.name, control_planes=1, workers=0)


def test_two_labs_side_by_side(lab: Lab, enter: Enter, namespaces: Namespaces, traces: Traces) -> None:
    begun = time.monotonic()
    with Lab.up("other", control_planes=1, workers=0) as other:
        took = time.monotonic() - begun
        assert other.record.number != lab.record.number
        assert default_inventory() is None
        with pytest.raises(LabError, match="several labs are up"):
            Lab.find()
        foreign = f"exec 3<>/dev/tcp/{lab.hosts[0].address}/22"
        reach = other.hosts[0].run(["timeout", "1", "bash", "-c", foreign], check=False)
        assert reach.returncode != 0, "labs are islands"
        assert enter(other, "cp1", "hostname").stdout == "cp1\n"
        inside, folder = namespaces(other.hosts), other.paths.folder
        assert traces(other.record.number, folder, inside)
    assert traces(other.record.number, folder, inside) == []
    assert lab.host("cp1").state == "running"
    assert took < 30


def test_a_lab_whose_number_another_has_now_leaves_that_one_alone(lab: Lab, enter: Enter, labs_folder: Path) -> None:
    """As after the machine's boot, when the other one came up first."""
    clash = labs_folder / "clash"
    clash.mkdir()
    replace(lab.record, name="clash").write(clash / "lab.json")
    before = [host.init for host in lab.hosts]
    with pytest.raises(LabError, match=r"of lab clash is taken by the lab in .*/it"):
        Lab.up("clash", control_planes=1, workers=1)
    remove("clash")
    assert not clash.exists()
    assert [host.init for host in lab.hosts] == before
    assert enter(lab, "cp1", "true").returncode == 0
