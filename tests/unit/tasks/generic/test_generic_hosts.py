"""Packages, services, accounts, kernel, mounts, firewalls: what tasks give, and that a second run is quiet."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge.errors import InputError, UnfitHost
from kubeforge.operations import Command, File, Notified, Restart, Setting, TimeZone, Unit
from kubeforge.operations.model import MountEntry, Observation
from kubeforge.transport.memory import RUNNING

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIabc ops@example"
BOOK = """
- play: A host
  hosts: all
  tasks:
    - package.present: {names: {debian: [nginx, curl], rhel: [nginx]}}
    - package.absent: {names: telnet}
    - systemd.unit: {name: app, content: "[Service]\\nExecStart=/bin/true\\n"}
    - systemd.timer: {name: backup, command: /usr/bin/backup, calendar: daily}
    - service.running: {name: ssh}
    - service.stopped: {name: cups}
    - user.authorized_key: {user: ops, key: KEY}
    - user.sudoers: {name: ops, content: ops ALL=(ALL) NOPASSWD:ALL}
    - cron.job: {name: clean, schedule: 0 3 * * *, command: rm -rf /tmp/x, variables: {MAILTO: root}}
    - kernel.sysctl: {values: {net.ipv4.ip_forward: 1}}
    - kernel.module: {name: overlay}
    - host.name: {}
    - host.entries: {addresses: {192.0.2.7: [db, db1]}}
    - mount.present: {path: /srv/data, source: tmpfs, fstype: tmpfs, options: [nosuid]}
""".replace("KEY", KEY)


@pytest.fixture
def host(site: Any) -> Any:
    site.host.put("/etc/passwd", b"root:x:0:0::/root:/bin/sh\nops:x:1000:1000::/home/ops:/bin/sh\n")
    site.host.put("/etc/group", b"root:x:0:\nstaff:x:1000:\n")
    site.host.put("/etc/fstab", b"/dev/sda1 / ext4 defaults 0 1\n")
    site.host.put("/etc/hosts", b"127.0.0.1 localhost\n")
    site.host.overlay(
        Observation(
            packages={"telnet": "1"},
            units={"ssh.service": RUNNING, "cups.service": RUNNING},
            sysctls={"net.ipv4.ip_forward": "0", "kernel.hostname": "old"},
        )
    )
    return site


def test_everyday_tasks_applied_twice(host: Any) -> None:
    host.run(BOOK)
    memory = host.host
    assert memory.state.packages == {"telnet": None, "nginx": "planned", "curl": "planned"}
    assert memory.file("/home/ops/.ssh/authorized_keys") == f"{KEY}\n".encode()
    keys = memory.state.paths["/home/ops/.ssh/authorized_keys"]
    assert (keys.owner, keys.group, keys.permissions) == ("ops", "staff", 0o600)
    assert memory.file("/etc/cron.d/clean").decode().splitlines()[1:] == ["MAILTO=root", "0 3 * * * root rm -rf /tmp/x"]
    assert memory.file("/etc/fstab").decode().splitlines()[1] == "tmpfs /srv/data tmpfs nosuid 0 0"
    assert memory.file("/etc/sysctl.d/90-kubeforge-site.conf").endswith(b"net.ipv4.ip_forward = 1\n")
    assert b"192.0.2.7 db db1\n" in memory.file("/etc/hosts")
    assert memory.file("/etc/hostname") == b"web1\n"
    assert memory.state.units["cups.service"].active == "inactive"
    assert "OnCalendar=daily" in memory.file("/etc/systemd/system/backup.timer").decode()


def test_families(site: Any) -> None:
    for family, manager in (("debian", "apt"), ("rhel", "dnf"), ("suse", "zypper")):
        site.family = family
        (all_of_them,) = site.ask("package.upgraded")
        assert any(manager in word for word in all_of_them.argv)
    assert list(site.ask("package.present", names={"debian": ["x"]})) == []


def test_a_family_that_nobody_knows(site: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(type(site).facts.fget.__globals__["FAMILIES"], "debian", frozenset({"nixos"}))
    with pytest.raises(UnfitHost, match="no family that is known"):
        site.ask("package.present", names={"debian": ["x"]})


def test_apt_repositories(site: Any) -> None:
    key = "-----BEGIN PGP PUBLIC KEY BLOCK-----\nx\n-----END PGP PUBLIC KEY BLOCK-----"
    _, ring, sources, update = site.ask(
        "repository.apt", name="app", uris="https://apt.test/", suites="stable", key=key, architectures=["amd64"]
    )
    assert ring.operation.path == "/etc/apt/keyrings/app.asc"
    assert sources.operation.content.decode().splitlines()[1:] == [
        "Types: deb", "URIs: https://apt.test/", "Suites: stable", "Components: main", "Architectures: amd64",
        "Signed-By: /etc/apt/keyrings/app.asc",
    ]  # fmt: skip
    assert isinstance(update, Notified)
    assert update.causes == (ring.title, sources.title)
    flat, _ = site.ask("repository.apt", name="app", uris="https://apt.test/", suites="./")
    assert b"Components" not in flat.operation.content
    gone = site.ask("repository.apt", name="app", state="absent")
    assert [item.title for item in gone[:2]] == [
        "absent /etc/apt/sources.list.d/app.sources",
        "absent /etc/apt/keyrings/app.asc",
    ]
    with pytest.raises(InputError):
        site.ask("repository.apt", name="../x", uris="u", suites="s")


def test_rpm_repositories(site: Any) -> None:
    site.family = "rhel"
    (site.folder / "key.asc").write_text("key\n")
    _, ring, imported, repo = site.ask("repository.rpm", name="app", url="https://rpm.test/", key="key.asc")
    assert (ring.operation.content, imported.operation.argv[2]) == (b"key\n", ring.operation.path)
    assert repo.path == "/etc/yum.repos.d/app.repo"
    assert "gpgcheck=1" in repo.content.decode()
    site.family = "suse"
    (unsigned,) = site.ask("repository.rpm", name="app", url="https://rpm.test/")
    assert unsigned.path == "/etc/zypp/repos.d/app.repo"
    assert "gpgcheck=0\n" in unsigned.content.decode()


def test_services_and_units(site: Any) -> None:
    file, unit = site.ask("systemd.unit", name="app", content="x", listens=["/etc/app"], enabled=None)
    assert unit == Unit(name="app.service", enabled=None, listens=(file.title, "file /etc/app"))
    assert [item.title for item in site.ask("systemd.unit", name="app", state="absent")] == [
        "unit app.service", "absent /etc/systemd/system/app.service",
    ]  # fmt: skip
    _, drop_in, told = site.ask("systemd.drop_in", unit_name="nginx", content="x")
    assert drop_in.path == "/etc/systemd/system/nginx.service.d/kubeforge.conf"
    assert told.listens[0] == drop_in.title
    assert site.ask("service.reload", name="nginx") == [Restart(name="nginx.service", how="reload")]
    (masked,) = site.ask("service.masked", name="cups")
    assert (masked.masked, masked.state) == (True, "stopped")


def test_accounts(site: Any) -> None:
    account, password = site.ask("user.present", name="app", groups=["sudo"], password="$6$a$b", shell="/bin/sh")
    assert (account.groups, account.shell) == (("sudo",), "/bin/sh")
    assert "$6" not in repr(password)
    (gone,) = site.ask("user.absent", name="app", remove_home=True)
    assert (gone.state, gone.remove_home) == ("absent", True)
    folder, key = site.ask("user.authorized_key", user="new", key=KEY, options="no-pty")
    assert (folder.path, folder.group) == ("/home/new/.ssh", "new")
    assert key.edit.apply(f"from=x {KEY.rpartition(' ')[0]} older\n") == f"no-pty {KEY}\n"
    assert site.ask("user.authorized_key", user="new", key=KEY, state="absent")[0].edit.apply(f"{KEY}\na\n") == "a\n"
    (sudoers,) = site.ask("user.sudoers", name="ops", content="ops ALL=(ALL) ALL")
    assert (sudoers.mode, sudoers.validate) == (0o440, ("visudo", "-cqf", "%s"))
    for name, arguments in (
        ("user.authorized_key", {"user": "x", "key": "no key"}),
        ("user.sudoers", {"name": "a.b"}),
        ("cron.job", {"name": "a.b", "command": "x", "schedule": "@daily"}),
        ("cron.job", {"name": "a", "command": "x", "schedule": "3 *"}),
        ("cron.job", {"name": "a", "command": "x\ny", "schedule": "@daily"}),
    ):
        with pytest.raises(InputError):
            site.ask(name, **arguments)


def test_mounts_and_swap(site: Any) -> None:
    fstab, folder, mount = site.ask(
        "mount.present",
        path="/mnt/a b",
        source="/dev/sdb1",
        fstype="ext4",
        options="noatime,nofail,x-systemd.automount",
    )
    assert fstab.edit.line == "/dev/sdb1 /mnt/a\\040b ext4 noatime,nofail,x-systemd.automount 0 0"
    assert fstab.edit.apply("/dev/sda1 /mnt/a\\040b xfs defaults 0 0\n#x\n") == f"{fstab.edit.line}\n#x\n"
    assert (folder.creates, mount.options) == ("/mnt/a b", ("noatime",))
    gone, unmounted = site.ask("mount.present", path="/mnt/a", state="absent")
    assert gone.edit.apply("/dev/sda1 /mnt/a xfs defaults 0 0\n") == ""
    assert unmounted.decide(Observation(mounts={"/mnt/a": MountEntry("x", "xfs", frozenset())})) is not None
    made, _, on = site.ask("swap.file", size="2GiB")
    assert "count=2048" in made.argv[2]
    assert on.decide(Observation(outputs={on.probe: "on\n"})) is None
    for name, arguments in (("swap.file", {"size": "much"}), ("mount.present", {"path": "/x"})):
        with pytest.raises(InputError):
            site.ask(name, **arguments)


def test_firewalls(site: Any) -> None:
    rules, unit, reload = site.ask("firewall.nftables", rules="flush ruleset\n")
    assert (rules.operation.path, rules.operation.validate) == (
        "/etc/nftables.conf",
        ("nft", "--check", "--file", "%s"),
    )
    assert (unit.name, reload.title, rules.tells) == ("nftables.service", "reload nftables.service", (reload.title,))
    (port,) = site.ask("firewall.firewalld", port="443/tcp", zone="public")
    assert isinstance(port, Setting)
    assert port.wanted == "enabled\nenabled"
    assert port.lines[1].endswith("|| firewall-cmd --permanent --zone=public --add-port=443/tcp")
    (closed,) = site.ask("firewall.firewalld", service="http", state="disabled")
    assert closed.lines[2] == "! firewall-cmd -q --query-service=http || firewall-cmd --remove-service=http"
    (rule,) = site.ask("firewall.ufw", rule="allow 443/tcp", state="absent")
    assert rule.lines == ("ufw --force delete allow 443/tcp",)
    (active,) = site.ask("firewall.ufw_enabled")
    assert active.decide(Observation(outputs={active.probe: "active\n"})) is None
    for name in ("firewall.firewalld", "firewall.nftables"):
        with pytest.raises(InputError):
            site.ask(name)


def test_kernel(site: Any) -> None:
    conf, load, module = site.ask("kernel.module", name="bonding", options="mode=1")
    assert (conf.content, load.content, module.name) == (b"options bonding mode=1\n", b"bonding\n", "bonding")
    blocked = site.ask("kernel.module", name="floppy", state="blocked")
    assert [item.title for item in blocked] == [
        "file /etc/modprobe.d/floppy.conf",
        "absent /etc/modules-load.d/floppy.conf",
    ]
    (gone,) = site.ask("kernel.sysctl", values={}, state="absent")
    assert gone.title == "absent /etc/sysctl.d/90-kubeforge-site.conf"
    link, zone = site.ask("host.timezone", name="Etc/UTC")
    assert (link, zone.content) == (TimeZone(name="Etc/UTC"), b"Etc/UTC\n")


def test_commands(site: Any) -> None:
    (command,) = site.ask("command.run", command="touch /x", creates="/x", become_user="app", environment={"A": 1})
    assert command == Command(argv=("touch", "/x"), creates="/x", user="app", env={"A": "1"}, deadline=300.0)
    (script,) = site.ask("command.script", text="echo hi\n", unless="test -e /x")
    assert (script.argv, script.stdin) == (("sh", "-eu"), b"{ :\necho hi\n\n} </dev/null\n")
    (site.folder / "x.sh").write_text("echo\n")
    (beside,) = site.ask("command.script", src="x.sh", interpreter=["bash", "-e"])
    assert (beside.title, beside.argv) == ("command x.sh", ("bash", "-e"))
    with pytest.raises(InputError):
        site.ask("command.script")
    (checkout,) = site.ask("git.checkout", url="https://git.test/x", dest="/srv/x", become_user="app")
    assert checkout.user == "app"
    assert isinstance(site.ask("file.present", path="/x")[0], File)
