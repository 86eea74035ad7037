"""What people write that is not quite what a task takes: told before anything is done, or understood."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kubeforge.errors import InputError, KubeforgeError, UnfitHost
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.operations.edits import BlockEdit
from kubeforge.operations.model import Observation
from kubeforge.secret import Secret
from kubeforge.tasks.generic.subjects import mode_of
from kubeforge.tasks.generic.talk import Fetch

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIabc"
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("cron.job", {"name": "täglich", "command": "x", "schedule": "@daily"}, "would be skipped by cron"),
    ("cron.job", {"name": "x", "command": "x", "schedule": "0 3 * *\n*"}, "no time and one line"),
    ("cron.job", {"name": "x", "command": "x", "schedule": "@daily", "user": "a b"}, "no user"),
    ("cron.job", {"name": "x", "command": "x", "schedule": "@daily", "variables": {"A": "1\n* * * * * root x"}}, "A"),
    ("cron.job", {"name": "x", "command": "x", "schedule": "@daily", "variables": {"A B": "1"}}, "'A B' is no name"),
    ("git.checkout", {"url": "x", "dest": "/x", "environment": {"A; touch /x": "1"}}, "is no name"),
    ("file.download", {"url": "file:///x", "dest": "/x", "sha256": "a" * 64, "environment": {"A B": "1"}}, "no name"),
    ("command.run", {"command": "x", "ok": []}, "no exit status is good"),
    ("firewall.firewalld", {"port": "443", "state": "disabled"}, "443/tcp"),
    ("systemd.timer", {"name": "x", "calendar": "daily"}, "`command` and `calendar`"),
    ("systemd.timer", {"name": "x", "command": "/bin/true"}, "`command` and `calendar`"),
    ("systemd.timer", {"name": "x", "command": "/bin/true\nUser=root", "calendar": "daily"}, "one line"),
    ("systemd.unit", {"name": "x"}, "`content`"),
    ("systemd.drop_in", {"unit_name": "x"}, "`content`"),
    ("repository.apt", {"name": "x", "uris": "https://x.test"}, "`uris` and `suites`"),
    ("repository.apt", {"name": "x", "suites": "stable"}, "`uris` and `suites`"),
    ("repository.apt", {"name": "ä", "uris": "https://x.test", "suites": "stable"}, "no name of a file"),
    ("repository.rpm", {"name": "x"}, "`url`"),
    ("user.authorized_key", {"user": "x", "key": f'no-pty,from="192.0.2.1" {KEY}'}, "`options`"),
    ("user.authorized_key", {"user": "x", "key": f"{KEY} a\n{KEY}b b"}, "one key"),
    ("user.authorized_key", {"user": "x", "key": "AAAA"}, "no public key"),
    ("host.entries", {"addresses": {"db.example.com": "db", "192.0.2.1": "x", "web": "w"}}, "db.example.com, web"),
    ("kernel.sysctl", {"values": {"vm.swappiness": "1\nkernel.panic = 1"}}, "one line"),
]


@pytest.mark.parametrize(("name", "arguments", "message"), BAD, ids=[f"{n}-{row[0]}" for n, row in enumerate(BAD)])
def test_what_is_refused(site: Any, name: str, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        site.ask(name, **arguments)
    assert message in str(caught.value)


@pytest.mark.parametrize("mode", [400, 440, 444, 500])
def test_a_mode_without_zero_and_quotes_is_a_decimal_number(mode: int) -> None:
    """0620, 0670, 0674 and 0764 are what nobody wants: a key that the group may write."""
    with pytest.raises(InputError, match="in quotes"):
        mode_of(mode)
    assert mode_of(f"0{mode}") == int(str(mode), 8)


def test_hosts_entries_of_an_inventory(site: Any) -> None:
    """Several names of one address stand in one line; a name is no address, and the loop's is everybody's own."""
    addresses = {"a": "192.0.2.1", "b": "192.0.2.1", "c": "c.example.com", "d": "127.0.0.1", "e": "2001:db8::1"}
    hosts = {name: Host(name=name, connection=Connection(address=address)) for name, address in addresses.items()}
    known = Inventory(hosts={"web1": site.inventory.hosts["web1"], **hosts}, groups={})
    context: Any = SimpleNamespace(inventory=known)
    (edit,) = site.registry["host.entries"].function(context)
    assert isinstance(edit.edit, BlockEdit)
    assert edit.edit.block.splitlines() == ["192.0.2.1 web1 a b", "2001:db8::1 e"]


def test_a_module_that_was_blocked_is_loaded_at_boot_again(site: Any) -> None:
    """Systemd-modules-load passes over what modprobe.d blacklists."""
    site.run("- play: x\n  hosts: all\n  tasks: [{kernel.module: {name: overlay, state: blocked}}]")
    assert site.host.file("/etc/modprobe.d/overlay.conf") == b"blacklist overlay\n"
    site.run("- play: x\n  hosts: all\n  tasks: [{kernel.module: {name: overlay}}]")
    assert b"blacklist" not in site.host.file("/etc/modprobe.d/overlay.conf")


def test_a_rule_of_ufw_with_a_comment(site: Any) -> None:
    """As `ufw show added` prints it, quotes and all; what ufw then calls otherwise would be added at every run."""
    (setting,) = site.ask("firewall.ufw", rule="allow 22/tcp  comment 'from home'")
    assert "'ufw allow 22/tcp comment '\"'\"'from home'\"'\"''" in setting.probe
    assert setting.lines[0] == "ufw allow 22/tcp comment 'from home'"
    assert "ufw show added | grep -qFx" in setting.lines[1]
    (gone,) = site.ask("firewall.ufw", rule="allow 22/tcp", state="absent")
    assert gone.lines == ("ufw --force delete allow 22/tcp",)


def test_a_place_that_cannot_be_written_to(site: Any, tmp_path: Path) -> None:
    """No traceback, and the host's file is named."""
    site.host.put("/etc/x", b"x")
    (tmp_path / "file").write_text("")
    context: Any = SimpleNamespace(remote=site.host, pending=False)
    for dest, why in ((tmp_path / "file" / "x", "File exists"), (tmp_path, "Is a directory")):
        fetch = Fetch(path="/etc/x", dest=dest)
        assert [change.title for change in fetch.plan(context)] == ["fetch /etc/x"]
        with pytest.raises(KubeforgeError, match=why) as caught:
            fetch.run(context)
        assert (caught.value.host, caught.value.step) == ("web1", "fetch /etc/x")
        assert str(dest) in str(caught.value)


def test_packages_of_another_architecture(site: Any) -> None:
    (package,) = site.ask("package.present", names="libc6:i386")
    assert package.decide(Observation(packages={"libc6:i386": "2.36"})) is None


@pytest.mark.parametrize("call", ["systemd.unit: {name: app, ", "systemd.drop_in: {unit_name: app, name: x, "])
def test_a_unit_that_goes_does_not_show_what_was_secret_in_it(site: Any, call: str) -> None:
    site.variables["ansible_password"] = Secret("hunter2")
    play = "- play: x\n  hosts: all\n  tasks: [{%s}]"
    there = 'content: "[Service]\\nEnvironment=P={{ ansible_password }}\\n"}'
    assert "hunter2" not in repr(site.run(play % f"{call}{there}", diff=True))
    assert "hunter2" not in repr(site.run(play % f"{call}state: absent}}", diff=True))


def test_links_to_folders_are_followed_and_other_links_told(site: Any, tmp_path: Path) -> None:
    """Of a folder behind a link an empty one was made, and a link to nowhere was left out in silence."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "elsewhere" / "deep").mkdir(parents=True)
    (tmp_path / "elsewhere" / "deep" / "a b").write_text("x")
    (tmp_path / "tree" / "link").symlink_to("../elsewhere")
    copied = site.ask("file.copy", src="tree", dest="/srv/x")
    assert [item.title for item in copied] == [
        "directory /srv/x",
        "directory /srv/x/link",
        "directory /srv/x/link/deep",
        "file /srv/x/link/deep/a b",
    ]
    for target, message in (("nowhere", "leads nowhere"), (".", "leads back")):
        (tmp_path / "tree" / "odd").symlink_to(target)
        with pytest.raises(InputError, match=message) as caught:
            site.ask("file.copy", src="tree", dest="/srv/x")
        assert caught.value.problems[0].file == str(tmp_path / "tree" / "odd")
        (tmp_path / "tree" / "odd").unlink()


def test_a_swap_file_with_a_blank_in_its_name(site: Any) -> None:
    r"""The kernel lists it with \040 in /proc/swaps."""
    setting = site.ask("swap.file", path="/my swap")[-1]
    assert r"""[ "$f" != '/my\040swap' ]""" in setting.probe


def test_a_key_of_a_user_without_a_home(site: Any) -> None:
    """The folder was made, whose very name says that it is not there."""
    site.host.put("/etc/passwd", b"nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n")
    with pytest.raises(UnfitHost, match="/nonexistent"):
        site.ask("user.authorized_key", user="nobody", key=KEY)
    assert site.ask("user.authorized_key", user="nobody", key=KEY, home="/srv/n")[0].path == "/srv/n/.ssh"
