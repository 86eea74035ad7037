"""exec, fetch and facts over `ansible_connection: local`: every host is this machine."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from kubeforge.engine.adhoc import Answer
from kubeforge.report.adhoc import as_data

HOSTS = """
all:
  vars: {ansible_connection: local}
  children:
    web: {hosts: {web1: {}, web2: {}}}
    db: {hosts: {db1: {}}}
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "hosts.yml").write_text(HOSTS)
    return tmp_path


def forge(site: Path, verb: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-c", "from kubeforge.cli import main; main()", verb, "-i", str(site), *words]
    return subprocess.run(argv, capture_output=True, cwd=site, check=False, timeout=120)


def test_lines_stand_behind_their_hosts(site: Path) -> None:
    done = forge(site, "exec", "web:db", "--", "printf", "a b\\nend")
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == sorted(
        f"{host:<4} | {line}".encode() for host in ("web1", "web2", "db1") for line in ("a b", "end")
    )
    assert b"3 hosts of 3 ended with 0" in done.stderr


def test_one_hosts_output_is_as_it_is(site: Path) -> None:
    assert forge(site, "exec", "db", "printf '\\001\\377x'").stdout == b"\x01\xffx"


def test_options_may_stand_behind_the_pattern_where_two_dashes_end_them(site: Path) -> None:
    assert forge(site, "exec", "web", "-g", "--", "echo", "-g").stdout.endswith(b"status 0\n  -g\n")
    assert forge(site, "exec", "db", "echo", "-g").stdout == b"-g\n"
    assert b"`-g` is no command; put `--` before" in forge(site, "exec", "web", "-g", "echo").stderr
    assert b"No such option '--grouqed'" in forge(site, "exec", "web", "--grouqed", "--", "echo").stderr


def test_the_same_output_is_shown_once(site: Path) -> None:
    done = forge(site, "exec", "-g", "all", "echo same")
    assert done.stdout.decode().splitlines() == ["3 hosts: web1, web2, db1  status 0", "  same"]


def test_a_failure_is_said_and_tells_in_the_exit_code(site: Path) -> None:
    done = forge(site, "exec", "web", "echo no >&2; exit 7")
    assert done.returncode == 13
    assert b"web1: status 7" in done.stderr
    assert b"0 hosts of 2 ended with 0" in done.stderr


def test_a_deadline(site: Path) -> None:
    done = forge(site, "exec", "--timeout", "0.5", "db", "sleep", "987")
    assert done.returncode == 15
    assert b"did not end within 0.5 s and was ended" in done.stderr
    assert b"next: give it more time" in done.stderr


def test_a_pattern_that_means_nobody_is_an_error(site: Path) -> None:
    done = forge(site, "exec", "wbe", "true")
    assert done.returncode == 10
    assert b"wbe" in done.stderr


def test_binary_output_is_not_lost(site: Path) -> None:
    told = json.loads(forge(site, "exec", "-o", "json", "db1", "printf 'a\\377\\000b'").stdout)
    assert base64.b64decode(told[0]["output_base64"]) == b"a\xff\x00b"
    assert told[0]["output"] == "a\ufffd\x00b"


@pytest.mark.parametrize("kept", ["€x".encode(), "€x".encode()[1:], "€x".encode()[2:], b"x"])
def test_text_that_was_cut_within_a_character_is_text(kept: bytes) -> None:
    (told,) = as_data([Answer(host="w1", status=0, output=kept, size=10)])
    assert "output_base64" not in told
    assert told["output"] in {"€x", "x"}


def test_a_character_that_ends_nowhere_is_no_text() -> None:
    (told,) = as_data([Answer(host="w1", status=0, output="€".encode()[1:], size=2)])
    assert told["output_base64"] == base64.b64encode("€".encode()[1:]).decode()


def test_answers_as_data(site: Path) -> None:
    told = json.loads(forge(site, "exec", "-o", "json", "web", "echo x; exit 3").stdout)
    assert [(one["host"], one["status"], one["output"]) for one in told] == [("web1", 3, "x\n"), ("web2", 3, "x\n")]


def test_a_file_is_fetched_from_each_host(site: Path) -> None:
    content = bytes(range(256)) * 5000
    (site.parent / "source file").write_bytes(content)
    done = forge(site, "fetch", "web", str(site.parent / "source file"), "--to", "got")
    assert done.returncode == 0, done.stderr
    for host in ("web1", "web2"):
        file = site / "got" / host / str(site.parent / "source file").lstrip("/")
        assert file.read_bytes() == content
        assert file.stat().st_mode & 0o777 == 0o600
        assert [path.name for path in file.parent.iterdir()] == ["source file"]


def test_a_file_that_is_missing_leaves_nothing_here(site: Path) -> None:
    done = forge(site, "fetch", "web", "/no/such/file", "--to", "got")
    assert done.returncode == 13
    assert b"web1: No such file or directory" in done.stderr
    assert not [path for path in (site / "got").rglob("*") if path.is_file()]


def test_facts(site: Path) -> None:
    told = json.loads(forge(site, "facts", "db", "-o", "json").stdout)
    assert told["db1"]["kernel"] == Path("/proc/sys/kernel/osrelease").read_text().strip()
    table = forge(site, "facts", "web").stdout.decode().splitlines()
    assert [line.split()[0] for line in table] == ["HOST", "web1", "web2"]


def test_a_copy_is_planned_like_anything_else(site: Path) -> None:
    source, target = site.parent / "page", site.parent / "there" / "page"
    target.parent.mkdir()
    source.write_text("hello\n")
    told = forge(site, "copy", "db", str(source), str(target), "--mode", "0600", "--check", "--diff")
    assert told.returncode == 0, told.stderr
    assert f"file {target}".encode() in told.stdout
    assert not target.exists()
    target.write_text("hello\n")
    target.chmod(0o600)
    assert b"No changes." in forge(site, "copy", "db", str(source), str(target), "--mode", "0600", "--check").stdout


def test_nobody_to_copy_to_is_an_error(site: Path) -> None:
    done = forge(site, "copy", "wbe", str(site / "hosts.yml"), "/tmp/x", "--yes")
    assert done.returncode == 10
    assert b"wbe" in done.stderr
