"""A whole playbook on this machine, in a folder of its own: check, apply, apply again, ended before its handler."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from kubeforge import tasks
from kubeforge.engine.events import Event
from kubeforge.engine.playbook_loader import parse
from kubeforge.engine.run import Session
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.operations import notified
from kubeforge.secret import Secret
from kubeforge.transport.base import ByteSocket, Remote
from kubeforge.transport.local import LocalTransport
from kubeforge.transport.remote import ShellRemote

BOOK = """
- play: Here
  hosts: all
  vars: {root: ROOT, url: "http://{{ inventory_hostname }}:{{ port }}"}
  environment: {GREETING: hello}
  tasks:
    - check.that: {that: ["{{ facts.uid == 0 }}"]}
    - file.directory: {path: "{{ root }}/deep/er", mode: "0755"}
    - file.directory: {path: "{{ root }}/open", mode: "1777"}
    - file.present: {path: "{{ root }}/conf", content: "{{ url }}\\n", mode: "0640", owner: nobody}
      notify: again
    - file.template: {src: secret.j2, dest: "{{ root }}/secret", mode: "0600"}
    - file.copy: {src: tree, dest: "{{ root }}/tree"}
    - file.line: {path: "{{ root }}/lines", line: one, create: true}
    - file.line: {path: "{{ root }}/lines", line: two, create: true}
      notify: again
    - file.link: {path: "{{ root }}/link", target: conf}
    - command.run:
        command: [sh, -c, 'echo "$GREETING from $(id -un)" >who']
        unless: test -e who
      become_user: nobody
      chdir: "{{ root }}/open"
    - command.script: {text: "cat\\ncat >/dev/null\\necho ran >ROOT/script", creates: "{{ root }}/script", name: it}
    - file.fetch: {src: "{{ root }}/conf", dest: fetched}
    - file.present: {path: "{{ root }}/delegated", content: "for {{ inventory_hostname }}\\n"}
      delegate_to: other
      run_once: true
  handlers:
    - name: again
      command.run: {command: [sh, -c, "echo run >>ROOT/handled"], name: again}
"""


class Here:
    """Two names for this machine; kubeforge's own folder is a temporary one."""

    def __init__(self, folder: Path, variables: Mapping[str, Any]) -> None:
        local = Connection(kind="local", address="localhost")
        hosts = {name: Host(name=name, connection=local, vars=variables) for name in ("one", "other")}
        self.inventory = Inventory(hosts=hosts, groups={"all": ("one", "other")})
        self.folder = folder
        self.events: list[Event] = []

    def remote(self, host: str) -> Remote:
        return ShellRemote(LocalTransport(host), state=str(self.folder / "state" / host))

    def open_stream(self, host: str, command: str) -> ByteSocket:
        raise NotImplementedError

    def release(self, host: str) -> None: ...

    def close(self) -> None: ...

    def session(self) -> Session:
        registry = tasks.load()
        text = BOOK.replace("ROOT", str(self.folder / "root"))
        book = parse(text, registry, file=str(self.folder / "site.yml"))
        return Session(
            inventory=self.inventory,
            playbook=book,
            registry=registry,
            remotes=self,
            limit="one",
            sinks=[self.events.append],
            exclusive=False,
            record=False,
        )


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Here:
    if os.geteuid() != 0:
        pytest.skip("owners are set by root only")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    monkeypatch.setattr(notified, "OWED", str(tmp_path / "owed"))
    (tmp_path / "root").mkdir(mode=0o755)
    (tmp_path / "files" / "tree" / "sub").mkdir(parents=True)
    (tmp_path / "files" / "tree" / "sub" / "x").write_text("x\n")
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "secret.j2").write_text("password={{ password }}\n")
    return Here(tmp_path, {"port": 80, "password": Secret("hunter22")})


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_check_apply_and_apply_again(here: Here) -> None:
    root = here.folder / "root"
    with here.session() as session:
        plan = session.plan(diff=True)
        assert plan.failures == ()
        assert contents(root) == {}, "a check changes nothing"
        result = session.apply(plan)
        assert result.failures == ()
        planned = [change.title for step in plan.steps for change in step.changes]
        assert [done.title for done in result.done] == planned
        assert session.plan().steps == ()
    assert contents(root) == {
        "conf": "http://one:80\n",
        "delegated": "for one\n",
        "handled": "run\n",
        "lines": "one\ntwo\n",
        "link": "http://one:80\n",
        "open/who": "hello from nobody\n",
        "script": "ran\n",
        "secret": "password=hunter22\n",
        "tree/sub/x": "x\n",
    }
    assert (root / "conf").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert (here.folder / "fetched" / "one" / str(root / "conf").lstrip("/")).read_text() == "http://one:80\n"
    assert list((here.folder / "owed").iterdir()) == [], "no handler is owed"
    assert "hunter22" not in json.dumps(plan.to_data()) + repr(here.events)


def test_a_handler_that_a_killed_run_owed(here: Here) -> None:
    """A command between change and handler fails, so the run ends before its handler."""
    root = here.folder / "root"
    with here.session() as session:
        session.apply(session.plan())
    (root / "conf").write_text("edited by hand\n")
    (root / "open" / "who").unlink()
    with here.session() as session:
        plan = session.plan()
        assert [change.title for step in plan.steps for change in step.changes][-1] == "command again"
        (root / "open").rename(root / "moved")
        assert session.apply(plan).failures
    (root / "moved").rename(root / "open")
    assert (root / "handled").read_text() == "run\n"
    with here.session() as session:
        result = session.apply(session.plan())
        assert result.failures == ()
        assert session.plan().steps == ()
    assert (root / "handled").read_text() == "run\nrun\n", "what was owed is made good, once"
