"""Every generic task once, on a bare host: its shell lines and probes are POSIX sh, and hostile words stay words."""

from __future__ import annotations

import subprocess
from typing import Any, Final

import pytest

from kubeforge.operations.model import Change, Observation, Operation, Queries, UnitState, Verb, fold
from kubeforge.transport.memory import RUNNING

HOSTILE: Final = 'x\'; touch $HOME `id` "$(reboot)" \\ #'
KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIabc x"
PGP: Final = "-----BEGIN PGP PUBLIC KEY BLOCK-----"

CALLS: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("file.present", {"path": f"/etc/{HOSTILE}", "content": HOSTILE, "owner": HOSTILE, "validate": ["x", "%s"]}),
    ("file.directory", {"path": f"/etc/{HOSTILE}/y", "group": HOSTILE, "mode": "2750"}),
    ("file.link", {"path": f"/etc/{HOSTILE}", "target": HOSTILE}),
    ("file.absent", {"path": "/etc/there", "recursive": True}),
    ("file.line", {"path": f"/etc/{HOSTILE}", "line": HOSTILE, "create": True}),
    ("file.block", {"path": f"/etc/{HOSTILE}", "name": HOSTILE, "block": HOSTILE, "create": True}),
    ("file.copy", {"src": "here", "dest": f"/etc/{HOSTILE}"}),
    ("file.template", {"src": "here", "dest": f"/etc/{HOSTILE}"}),
    ("file.download", {"url": "https://x.test/$(id)", "dest": f"/etc/{HOSTILE}", "sha256": "a" * 64}),
    ("archive.unpacked", {"src": "here", "dest": f"/etc/{HOSTILE}", "owner": HOSTILE}),
    ("archive.unpacked", {"src": "here.zip", "dest": "/opt/zip"}),
    (
        "command.run",
        {
            "command": [HOSTILE, "$A"],
            "unless": HOSTILE.replace("'", ""),
            "become_user": HOSTILE,
            "chdir": f"/srv/{HOSTILE}",
            "environment": {"A": HOSTILE},
            "stdin": HOSTILE,
            "ok": [0, 1],
        },
    ),
    ("command.script", {"text": "echo hi", "removes": "/etc/there", "become_user": "app"}),
    ("package.present", {"names": "one"}),
    ("package.present", {"names": ["one", "two"]}),
    ("package.absent", {"names": ["there"]}),
    ("package.upgraded", {}),
    ("repository.apt", {"name": "x", "uris": HOSTILE, "suites": HOSTILE, "key": PGP}),
    ("repository.rpm", {"name": "x", "url": HOSTILE, "key": PGP}),
    ("service.running", {"name": f"a{HOSTILE}"}),
    ("service.stopped", {"name": "there"}),
    ("service.masked", {"name": "there"}),
    ("service.restart", {"name": f"a{HOSTILE}"}),
    ("service.reload", {"name": "failed"}),
    ("systemd.unit", {"name": "x", "content": HOSTILE}),
    ("systemd.drop_in", {"unit_name": "there", "content": HOSTILE}),
    ("systemd.timer", {"name": "x", "command": HOSTILE, "calendar": HOSTILE, "random_delay": "1m"}),
    ("user.present", {"name": "x", "comment": HOSTILE, "groups": [HOSTILE], "shell": HOSTILE, "password": "$6$a"}),
    ("user.absent", {"name": "x", "remove_home": True}),
    ("user.authorized_key", {"user": HOSTILE, "key": KEY, "home": f"/home/{HOSTILE}"}),
    ("user.sudoers", {"name": "x", "content": HOSTILE}),
    ("group.present", {"name": "x", "gid": 7}),
    ("group.absent", {"name": "x"}),
    ("cron.job", {"name": "x", "command": HOSTILE, "schedule": "@daily"}),
    ("kernel.sysctl", {"values": {"net.ipv4.ip_forward": HOSTILE}}),
    ("kernel.module", {"name": "x", "options": HOSTILE}),
    ("mount.present", {"path": f"/mnt/{HOSTILE}", "source": HOSTILE, "fstype": "x", "options": [HOSTILE]}),
    ("swap.file", {"path": f"/{HOSTILE}"}),
    ("swap.off", {}),
    ("host.name", {"name": HOSTILE}),
    ("host.entries", {"addresses": {"192.0.2.1": HOSTILE}}),
    ("host.timezone", {"name": HOSTILE}),
    ("firewall.nftables", {"rules": HOSTILE}),
    ("firewall.firewalld", {"rich_rule": HOSTILE, "zone": HOSTILE}),
    ("firewall.firewalld", {"port": "80/tcp", "state": "disabled"}),
    ("firewall.ufw", {"rule": [HOSTILE]}),
    ("firewall.ufw_enabled", {}),
    ("git.checkout", {"url": "x:`id`", "dest": f"/srv/{HOSTILE}", "version": "$(id)", "become_user": "x"}),
)  # fmt: skip
ACTIONS: Final = {"check", "debug", "wait"}


@pytest.fixture
def bare(site: Any) -> Any:
    for name in ("here", "here.zip"):
        (site.folder / name).write_text("x\n")
    site.host.put("/etc/there", b"x\n")
    units = {"there.service": RUNNING, "failed.service": UnitState(load="loaded", active="failed")}
    site.host.overlay(Observation(packages={"there": "1"}, units=units, sysctls={"net.ipv4.ip_forward": "0"}))
    return site


def is_shell(text: str) -> str:
    """Return what sh says against a text; empty: nothing."""
    return subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, check=False).stderr


def decided(site: Any, items: list[Operation]) -> list[Change]:
    seen = site.host.observe(Queries.merge(item.observe() for item in items))
    answers = {probe: f"\n\nclean\n{'1' * 40}\n" for probe in seen.outputs if "ls-remote" in probe}
    return fold(items, seen.overlaid(Observation(outputs=answers)))[0]


@pytest.mark.parametrize(("name", "arguments"), CALLS, ids=[f"{number}-{call[0]}" for number, call in enumerate(CALLS)])
def test_lines_and_probes_are_posix_shell(bare: Any, name: str, arguments: dict[str, Any]) -> None:
    items = bare.ask(name, **arguments)
    for item in items:
        queries = item.observe()
        assert [is_shell(probe) for probe in queries.outputs] == [""] * len(queries.outputs)
        assert [is_shell(test[2]) for test in queries.tests if test[:1] == ("sh",)] in ([], [""])
    changes = decided(bare, items)
    assert changes or name in {"user.absent", "group.absent", "swap.off"}, "something is to be done on a bare host"
    for change in changes:
        assert is_shell("\n".join((*change.lines, *change.undo))) == "", change.title
        assert change.verb in Verb


def test_all_tasks_are_here(site: Any) -> None:
    generic = {name for name, task in site.registry.items() if ".generic." in task.function.__module__}
    talking = {name for name in generic if name.partition(".")[0] in ACTIONS} | {"host.reboot", "file.fetch"}
    assert generic - talking == {name for name, _ in CALLS}


def test_hostile_words_stay_words(bare: Any) -> None:
    """What sh makes of a quoted word is the word."""
    (command,) = bare.ask("command.run", command=["printf", "%s", HOSTILE])
    (change,) = decided(bare, [command])
    done = subprocess.run(["sh", "-e"], input="\n".join(change.lines), capture_output=True, text=True, check=True)
    assert done.stdout == HOSTILE
