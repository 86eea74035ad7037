"""Groups that facts make, in runs and ad hoc: every host is this machine, but for those that do not answer."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kubeforge.cli.facts_first import with_facts
from kubeforge.engine.becoming import enters_as_root
from kubeforge.engine.surveying import Surveyed
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.secret import Secret
from tests.conftest import make_facts

HOSTS = """
all:
  vars: {ansible_connection: local}
  children:
    web: {hosts: {web1: {n: 1}, web2: {n: 2}}}
    db: {hosts: {db1: {n: 3}}}
"""
GROUPS = """
plugin: constructed
groups: {windows: ansible_system == 'Windows', odd_linux: ansible_system == 'Linux' and n % 2 == 1}
keyed_groups: [{key: ansible_system, prefix: sys}]
"""
BOOK = """
- {play: Windows, hosts: windows, facts: false, tasks: [{check.that: {that: false}}]}
- {play: Odd, hosts: "odd_linux:!db", facts: false, tasks: [{debug.say: {message: "{{ groups['sys_Linux'] }}"}}]}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "inventory").mkdir()
    (tmp_path / "inventory/1.yml").write_text(HOSTS)
    (tmp_path / "inventory/2.yml").write_text(GROUPS)
    (tmp_path / "site.yml").write_text(BOOK)
    return tmp_path


def forge(site: Path, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", "from kubeforge.cli import main; main()", *words]
    return subprocess.run(argv, capture_output=True, text=True, cwd=site, check=False, timeout=120)


def test_a_play_for_such_a_group(site: Path) -> None:
    done = forge(site, "playbook", "run", "-i", "inventory", "site.yml", "--check", "-o", "json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert plan["hosts"] == ["web1"]
    assert '["web1", "web2", "db1"]' in done.stderr
    assert "Windows: no host is in windows, a group that facts make" in done.stderr


def test_ad_hoc(site: Path) -> None:
    done = forge(site, "exec", "-i", "inventory", "sys_Linux:&db", "--", "echo", "it")
    assert (done.returncode, done.stdout) == (0, "it\n")
    done = forge(site, "exec", "-i", "inventory", "sys_Plan9", "--", "echo", "it")
    assert done.returncode == 10
    assert "no host is left in 'sys_Plan9'" in done.stderr


def test_who_does_not_answer_is_told_and_can_be_left_out(site: Path) -> None:
    lost = "{ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_port: 1, n: 4}"
    (site / "inventory/1.yml").write_text(HOSTS.replace("db1: {n: 3}", f"db1: {{n: 3}}, db2: {lost}"))
    run = ("playbook", "run", "-i", "inventory", "site.yml", "--check")
    done = forge(site, *run)
    assert done.returncode == 11
    assert "db2: not known which groups they are in" in done.stderr
    assert "--limit 'all:!db2'" in done.stderr
    assert forge(site, *run, "--limit", "all:!db2").returncode == 0
    assert forge(site, *run, "--limit", "sys_Linux:!db2").returncode == 0


def inventory(**connection: Any) -> Inventory:
    hosts = {"w1": Host(name="w1", connection=Connection(address="192.0.2.1", **connection))}
    return Inventory(hosts=hosts, groups={"all": ("w1",)}, wants_facts=("w1",))


def test_passwords_that_were_typed_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Surveyed(host="w1", facts=make_facts("w1"))]
    monkeypatch.setattr("kubeforge.engine.surveying.survey", lambda *_: found)

    def read(facts: Mapping[str, Mapping[str, Any]]) -> Inventory:
        assert facts["w1"]["ansible_hostname"] == "w1"
        return inventory(user="root")

    known = with_facts(inventory(password=Secret("geheim")), read, None, pattern=None)  # type: ignore[arg-type]
    assert known.hosts["w1"].connection == Connection(address="192.0.2.1", user="root", password=Secret("geheim"))
    assert enters_as_root(known.hosts["w1"].connection)
