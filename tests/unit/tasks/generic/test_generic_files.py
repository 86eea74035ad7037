"""File tasks: applied by a session to a host in memory; templates, secrets, modes, lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubeforge.errors import InputError
from kubeforge.operations.model import LocalContent
from kubeforge.secret import Secret
from kubeforge.tasks.generic.subjects import argv_of, mode_of, unit

BOOK = """
- play: Files
  hosts: all
  vars: {port: 80}
  tasks:
    - file.directory: {path: /etc/app, mode: "0750"}
    - file.present: {path: /etc/app/conf, content: "port {{ port }}\\n", mode: 0640}
    - file.present: {path: /etc/app/touched}
    - file.link: {path: /etc/app/current, target: conf}
    - file.line: {path: /etc/issue, line: debug no}
    - file.block: {path: /etc/hosts, name: app, block: 192.0.2.1 a}
    - file.absent: {path: /etc/old}
    - file.copy: {src: tree, dest: /opt/tree}
    - file.template: {src: app.j2, dest: /etc/app/rendered, mode: "0600"}
"""


@pytest.fixture
def files(site: Any) -> Any:
    folder: Path = site.folder
    (folder / "files" / "tree" / "sub").mkdir(parents=True)
    (folder / "files" / "tree" / "run").write_text("#!/bin/sh\n")
    (folder / "files" / "tree" / "run").chmod(0o700)
    (folder / "files" / "tree" / "sub" / "plain").write_text("plain\n")
    (folder / "templates").mkdir()
    (folder / "templates" / "app.j2").write_text("{% for name in hosts %}\n{{ name }}:{{ port }}\n{% endfor %}\n")
    site.host.put("/etc/old", b"old\n")
    site.host.put("/etc/issue", b"hello\n")
    site.host.put("/etc/hosts", b"127.0.0.1 localhost\n")
    return site


def test_every_file_task_applied_twice(files: Any) -> None:
    plan = files.run(BOOK, diff=True)
    host = files.host
    assert host.file("/etc/app/conf") == b"port 80\n"
    assert host.file("/etc/app/rendered") == b"web1:80\n"
    assert host.file("/etc/hosts").endswith(b"# >>> kubeforge: app\n192.0.2.1 a\n# <<< kubeforge: app\n")
    entries = {path: host.state.paths[path] for path in ("/etc/app/conf", "/opt/tree/run", "/opt/tree/sub/plain")}
    assert {path: entry.permissions for path, entry in entries.items()} == {
        "/etc/app/conf": 0o640, "/opt/tree/run": 0o755, "/opt/tree/sub/plain": 0o644,
    }  # fmt: skip
    assert host.state.paths["/etc/old"] is None
    assert host.file("/etc/issue") == b"hello\ndebug no\n"
    diffs = {change.title: change.diff for step in plan.steps for change in step.changes if change.diff}
    assert diffs["edit /etc/issue: debug no"].before == "hello\n"
    assert diffs["edit /etc/issue: debug no"].after == "hello\ndebug no\n"


def test_a_template_with_a_secret_shows_it_nowhere(files: Any) -> None:
    files.variables["password"] = Secret("hunter22")
    (files.folder / "templates" / "app.j2").write_text("{% include 'part.j2' %}\n\n")
    (files.folder / "templates" / "part.j2").write_text("pw={{ password }}")
    text = "- {play: A, hosts: all, tasks: [file.template: {src: app.j2, dest: /etc/secret, mode: '0600'}]}"
    plan = files.run(text, diff=True)
    assert files.host.file("/etc/secret") == b"pw=hunter22\n"
    (change,) = plan.steps[0].changes
    assert (change.secret, change.diff, change.digest) == (True, None, None)
    assert "hunter22" not in json.dumps(plan.to_data())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\n{{ prot }}\n", "app.j2:2: the variable prot is not defined; did you mean `port`?"),
        ("{% if %}\n", "app.j2:1: no template: Expected an expression, got 'end of statement block'"),
        ("{% include 'none.j2' %}", "app.j2: there is no template none.j2"),
        ("\n\n{{ 1 / 0 }}", "app.j2:3: cannot be filled: division by zero"),
        ("{{ password ~ 'x' }}", "app.j2: cannot be filled: a secret is taken apart"),
        ("{{ port.__class__.__mro__ }}", "app.j2:1: access to attribute '__class__' of 'int' object is unsafe."),
    ],
)
def test_errors_of_templates_name_file_and_line(files: Any, text: str, told: str) -> None:
    files.variables |= {"port": 80, "password": Secret("hunter22")}
    (files.folder / "templates" / "app.j2").write_text(text)
    said = files.fails("- {play: A, hosts: all, tasks: [file.template: {src: app.j2, dest: /etc/x}]}")
    assert told in said.replace(f"{files.folder}/templates/", "")
    assert f"{files.folder}/site.yml:1" in said


def test_any_file_can_be_said_to_be_secret(files: Any) -> None:
    calls = "file.present: {path: /etc/a, content: 'pw=plain-one', secret: true}"
    template = "file.template: {src: app.j2, dest: /etc/b, secret: true}"
    (files.folder / "templates" / "app.j2").write_text("pw=plain-one\n")
    plan = files.run(f"- {{play: A, hosts: all, tasks: [{{{calls}}}, {{{template}}}]}}", diff=True)
    assert [change.secret for step in plan.steps for change in step.changes] == [True, True]
    assert "plain-one" not in json.dumps(plan.to_data())


def test_what_is_missing_here_is_told_before_any_change(files: Any) -> None:
    said = files.fails("- {play: A, hosts: all, tasks: [file.copy: {src: none, dest: /etc/x}]}")
    assert "there is no none on this machine" in said
    assert files.host.changes == []


def test_big_files_are_streamed(files: Any) -> None:
    (files.folder / "big").write_bytes(b"x" * 300_000)
    (item,) = files.ask("file.copy", src="big", dest="/opt/big")
    assert isinstance(item.content, LocalContent)
    assert item.content.size == 300_000


def test_archives_and_downloads(files: Any) -> None:
    (files.folder / "files" / "app.zip").write_bytes(b"zip")
    folder, unpacked = files.ask("archive.unpacked", src="app.zip", dest="/opt/app", owner="app")
    assert (folder.path, folder.owner, unpacked.form, unpacked.archive) == ("/opt/app", "app", "zip", b"zip")
    _, there = files.ask("archive.unpacked", src="/tmp/a.tar.xz", dest="/opt/app", on_host=True, strip=1)
    assert (there.archive, there.form, there.strip) == ("/tmp/a.tar.xz", "tar", 1)
    (got,) = files.ask("file.download", url="https://x.test/a", dest="/opt/a", sha256="a" * 64, mode="0755")
    assert (got.path, got.mode) == ("/opt/a", 0o755)


@pytest.mark.parametrize(
    ("mode", "bits"), [("0644", 0o644), ("644", 0o644), ("4755", 0o4755), (0o640, 0o640), ("0o600", 0o600)]
)
def test_modes(mode: int | str, bits: int) -> None:
    assert mode_of(mode) == bits


@pytest.mark.parametrize("mode", [644, 755, "rw", "09", -1, "12345"])
def test_what_is_no_mode(mode: int | str) -> None:
    with pytest.raises(InputError, match="1 problem"):
        mode_of(mode)


def test_words_of_commands() -> None:
    assert argv_of("a 'b c' $HOME") == ("a", "b c", "$HOME")
    assert argv_of(["a", 1]) == ("a", "1")
    wrongs: list[Any] = ["", "a 'b", ["a", Secret("x")], Secret("x")]
    for wrong in wrongs:
        with pytest.raises(InputError):
            argv_of(wrong)


def test_names_of_units() -> None:
    assert [unit(name) for name in ("nginx", "a.timer", "getty@tty1", "x.y")] == [
        "nginx.service", "a.timer", "getty@tty1.service", "x.y.service",
    ]  # fmt: skip
