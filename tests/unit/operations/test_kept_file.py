"""A file whose content is set aside: in the plan it is a file, on the host the old content waits."""

from __future__ import annotations

import subprocess
from pathlib import Path

from kubeforge.operations.diffs import attach_diffs, diffable
from kubeforge.operations.kept_file import KeptFile
from kubeforge.operations.model import Change
from kubeforge.transport.memory import MemoryHost

P, ASIDE = "/etc/x", "/var/lib/kubeforge/last-good/x/x"


def decided(host: MemoryHost, content: bytes) -> tuple[KeptFile, Change | None]:
    file = KeptFile(path=P, content=content, mode=0o600, aside=ASIDE)
    return file, file.decide(host.observe(file.observe()))


def write(host: MemoryHost, content: bytes) -> None:
    file, change = decided(host, content)
    assert change is not None
    host.act([change], host.observe(file.observe()), run_id="r")


def test_what_was_not_there_is_not_kept() -> None:
    host = MemoryHost("h")
    write(host, b"1")
    assert host.state.paths.get(ASIDE) is None


def test_the_first_content_is_kept_until_it_is_forgotten() -> None:
    host = MemoryHost("h", files={P: b"0"})
    write(host, b"1")
    write(host, b"2")
    assert (host.file(P), host.file(ASIDE)) == (b"2", b"0")
    assert decided(host, b"2")[1] is None


def test_the_plan_shows_a_file_with_its_diff() -> None:
    host = MemoryHost("h", files={P: b"0\n"})
    _, change = decided(host, b"1\n")
    assert change is not None
    assert change.title == f"file {P}"
    assert diffable([change]) == (P,)
    (shown,) = attach_diffs([change], {P: b"0\n"})
    assert shown.diff is not None
    assert (shown.diff.before, shown.diff.after) == ("0\n", "1\n")


def test_attributes_alone_keep_nothing() -> None:
    host = MemoryHost("h")
    host.put(P, b"0", mode=0o644)
    _, change = decided(host, b"0")
    assert change is not None
    assert change.lines == (f"chmod -- 0600 {P}",)


def test_the_lines_do_what_they_say(tmp_path: Path) -> None:
    path, aside = tmp_path / "x", tmp_path / "good" / "kubelet" / "x"
    path.write_text("old")
    path.chmod(0o640)
    (tmp_path / "payload").write_text("new")
    host = MemoryHost("h")
    host.put(str(path), b"old")
    file = KeptFile(path=str(path), content=b"new", mode=0o600, aside=str(aside))
    change = file.decide(host.observe(file.observe()))
    assert change is not None
    script = "\n".join(change.lines)
    subprocess.run(
        ["sh", "-eu"],
        input=script,
        text=True,
        check=True,
        env={"P": str(tmp_path / "payload"), "PATH": "/usr/bin:/bin"},
    )
    assert (path.read_text(), aside.read_text()) == ("new", "old")
    assert aside.stat().st_mode & 0o777 == 0o640
    assert aside.parent.stat().st_mode & 0o777 == 0o700
    assert sorted(tmp_path.rglob(".*")) == []
