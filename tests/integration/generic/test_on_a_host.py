"""Generic tasks on a real host, as root and by sudo: check tells what apply does, a second run changes nothing."""

from __future__ import annotations

import tarfile
from typing import Final

import pytest

from kubeforge import tasks
from kubeforge.engine.playbook_loader import parse
from kubeforge.engine.run import Session
from tests.integration.generic.conftest import Enter, Site

pytestmark = pytest.mark.lab

KEY: Final = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKubeforgeIntegrationTestKeyOnly00000000000 it@example.test"

CASES: Final[dict[str, str]] = {
    "file": """
- file.directory: {path: /srv/kfit, mode: "0750", owner: nobody}
- file.present: {path: /srv/kfit/a, content: "a\\n", mode: "0600"}
- file.link: {path: /srv/kfit/link, target: a}
- file.copy: {src: tree, dest: /srv/kfit/tree}
- file.template: {src: it.j2, dest: /srv/kfit/rendered}
- file.line: {path: /srv/kfit/lines, line: one, create: true}
- file.line: {path: /srv/kfit/lines, line: two, create: true}
- file.block: {path: /srv/kfit/lines, name: it, block: three, create: true}
- file.absent: {path: /srv/kfit-gone}
""",
    "archive": "- archive.unpacked: {src: it.tar, dest: /srv/kfit-archive}",
    "command": """
- command.run: {command: touch /srv/kfit-command, creates: /srv/kfit-command}
- command.run:
    command: sh -c "echo $A >out"
    unless: test -e out
  become_user: nobody
  environment: {A: b}
  chdir: /tmp
- command.script: {text: "echo it >/srv/kfit-script", creates: /srv/kfit-script, name: it}
""",
    "service": """
- systemd.unit:
    name: kfit
    content: "[Service]\\nExecStart=/bin/sleep 1000\\n[Install]\\nWantedBy=multi-user.target\\n"
- systemd.drop_in: {unit_name: kfit, content: "[Service]\\nNice=5\\n"}
- systemd.timer: {name: kfit-timer, command: /bin/true, calendar: daily}
- service.running: {name: kfit}
""",
    "stopped": "- service.stopped: {name: cron}",
    "account": f"""
- group.present: {{name: kfit}}
- user.present: {{name: kfit, group: kfit, groups: [sudo], shell: /bin/sh, password: "$6$salt$hash", comment: It}}
- user.authorized_key: {{user: kfit, key: "{KEY}"}}
- user.sudoers: {{name: kfit, content: "kfit ALL=(ALL) NOPASSWD: /bin/true"}}
- cron.job: {{name: kfit, command: /bin/true, schedule: "@daily"}}
""",
    "account gone": """
- user.sudoers: {name: kfit, state: absent}
- user.absent: {name: kfit, remove_home: true}
- group.absent: {name: kfit}
- cron.job: {name: kfit, state: absent}
""",
    "group first": """
- group.present: {name: kfit-own}
- user.present: {name: kfit-own}
""",
    "group last": """
- user.absent: {name: kfit-own}
- group.absent: {name: kfit-own}
""",
    "host": """
- host.entries: {addresses: {192.0.2.7: [kfit-a, kfit-b]}, name: kfit}
- host.timezone: {name: Etc/UTC}
- kernel.sysctl: {values: {net.ipv4.ip_forward: 1}, name: 99-kfit}
- kernel.module: {name: overlay}
""",
    "mount": "- mount.present: {path: /srv/kfit-mount, source: kfit, fstype: tmpfs, options: [nosuid, nodev]}",
    "mount gone": "- mount.present: {path: /srv/kfit-mount, state: absent}",
    "repository": """
- repository.apt: {name: kfit, uris: "file:/srv/kfit-repository", suites: ./, state: absent}
- package.present: {names: coreutils}
- package.absent: {names: kfit-no-such-package}
""",
    "waits": """
- wait.port: {port: 22, deadline: 10}
- wait.file: {path: /etc/passwd, contains: "^root:", deadline: 10}
- check.that: {that: "{{ facts.systemd }}"}
- debug.facts: {}
""",
    "fetch": "- file.fetch: {src: /etc/os-release, dest: fetched}",
}
QUIET: Final = frozenset({"waits", "repository", "stopped"})
"""Cases with nothing to do on a fresh host, or perhaps nothing."""


def prepare(site: Site) -> None:
    """Write what the playbooks take from this machine."""
    (site.folder / "files" / "tree").mkdir(parents=True)
    (site.folder / "files" / "tree" / "x").write_text("x\n")
    (site.folder / "files" / "it.tar").write_bytes(_tar(site))
    (site.folder / "templates").mkdir()
    (site.folder / "templates" / "it.j2").write_text("{{ inventory_hostname }} {{ facts.os_id }}\n")


def _tar(site: Site) -> bytes:
    path = site.folder / "made.tar"
    with tarfile.open(path, "w") as tar:
        tar.add(site.folder / "files" / "tree", "tree")
    return path.read_bytes()


@pytest.mark.parametrize("user", ["root", "ops"])
def test_check_apply_check(enter: Enter, user: str) -> None:
    """One host for all cases of a user, one after the other; the second user finds what the first one left undone."""
    site = enter(user)
    prepare(site)
    for name, calls in CASES.items():
        first = site.plan(calls)
        assert site.plan(calls).without_diffs().steps == first.without_diffs().steps, f"{name}: check changed something"
        if user == "root":
            assert first.steps or name in QUIET, name
        done = {done.title for done in site.apply(calls).done}
        planned = {change.title for step in first.steps for change in step.changes}
        assert done == planned, f"{name}: apply did what check told, no more and no less"
        assert site.plan(calls).steps == (), f"{name}: a second run changes nothing"


UNIT: Final = "[Service]\\nExecStart=/bin/sleep 1000\\n[Install]\\nWantedBy=multi-user.target\\n"
HANDLED: Final = f"""
- play: It
  hosts: cp1
  tasks:
    - systemd.unit: {{name: kfit2, content: "{UNIT}"}}
    - file.present: {{path: /etc/kfit2.conf, content: "{{{{ content }}}}"}}
      notify: again
  handlers:
    - name: again
      service.restart: {{name: kfit2}}
"""


def test_a_handler_restarts_when_it_is_notified(enter: Enter) -> None:
    registry = tasks.load()
    inventory = enter("root").session("- debug.facts").inventory
    book = parse(HANDLED, registry)
    for content, expected in (("1", True), ("1", False), ("2", True)):
        variables = {"content": content}
        with Session(
            inventory=inventory, playbook=book, registry=registry, variables=variables, exclusive=False, record=False
        ) as session:
            result = session.apply(session.plan())
        assert result.failures == ()
        assert ("restart kfit2.service" in {done.title for done in result.done}) is expected


def test_a_reboot(enter: Enter) -> None:
    site = enter("root")
    calls = "- host.reboot: {when: always, deadline: 120}"
    assert [done.title for done in site.apply(calls).done] == ["reboot"]
    assert site.plan("- host.reboot: {}").steps == (), "nothing on a fresh host asks for one"
