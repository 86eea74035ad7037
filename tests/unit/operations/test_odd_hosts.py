"""Hosts that are not as one thinks: what is done there by a real sh, and what is refused while it is planned."""

from __future__ import annotations

import grp
import hashlib
import os
import pwd
import shlex
import stat
import subprocess
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pytest

from kubeforge.errors import Unreadable
from kubeforge.operations import Command, Directory, File, Mount, Packages, Unpacked
from kubeforge.operations.distributions import Manager
from kubeforge.operations.model import Entry, MountEntry, Observation, Verb, fold

ME = pwd.getpwuid(os.getuid()).pw_name
MINE = grp.getgrgid(os.getgid()).gr_name


def run(lines: Sequence[str]) -> None:
    subprocess.run(["sh", "-e"], input="\n".join(lines), text=True, check=True)


def look(*paths: Path) -> Observation:
    """Return what lstat sees, missing paths among it, and of everything above."""
    every = dict.fromkeys(str(each) for path in paths for each in (path, *path.parents))
    there = {name: os.lstat(name) if os.path.lexists(name) else None for name in every}
    return Observation(paths={name: Entry(found.st_mode, ME, MINE) if found else None for name, found in there.items()})


@pytest.mark.parametrize("mode", [0o755, 0o2755, 0o1777])
def test_a_directory_that_has_a_set_group_id_bit_too_many(tmp_path: Path, mode: int) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    folder.chmod(0o6755)
    operation = Directory(path=str(folder), owner=ME, group=MINE, mode=mode)
    change = operation.decide(look(folder))
    assert change is not None
    run(change.lines)
    assert stat.S_IMODE(folder.stat().st_mode) == mode
    assert operation.decide(look(folder)) is None


def test_a_directory_below_one_of_a_group(tmp_path: Path) -> None:
    tmp_path.chmod(0o2755)
    operation = Directory(path=str(tmp_path / "new" / "folder"), owner=ME, group=MINE)
    change = operation.decide(look(tmp_path / "new" / "folder"))
    assert change is not None
    run([line for line in change.lines if line.startswith("mkdir")])
    assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o755
    assert operation.decide(look(tmp_path / "new" / "folder")) is None


def test_a_directory_that_a_command_makes_before() -> None:
    made = Command(argv=("git", "clone", "x", "/srv/x"), creates="/srv/x")
    folder = Directory(path="/srv/x", owner="app")
    changes, after = fold([made, folder], Observation(paths={"/srv": Entry(stat.S_IFDIR | 0o755), "/srv/x": None}))
    assert [(change.verb, change.title) for change in changes] == [
        (Verb.RUN, "command git clone x /srv/x"),
        (Verb.UPDATE, "directory /srv/x"),
    ]
    assert folder.decide(after) is None


def test_a_file_of_any_content_behind_a_link_is_not_emptied() -> None:
    seen = Observation(paths={"/etc/resolv.conf": Entry(stat.S_IFLNK | 0o777, target="/run/resolv.conf")})
    with pytest.raises(Unreadable, match="a symbolic link") as caught:
        File(path="/etc/resolv.conf", content=None).decide(seen)
    assert caught.value.remedy == "name the file itself: /run/resolv.conf"


def test_a_device_under_another_name_is_the_same(tmp_path: Path) -> None:
    """/dev/vg/data is /dev/mapper/vg-data in mountinfo: it was unmounted and mounted at every run."""
    mount = Mount(path="/m", source="/dev/vg/data", fstype="ext4")
    there = {"/m": MountEntry("/dev/mapper/vg-data", "ext4", frozenset({"rw"}))}
    (test,) = mount.observe().tests
    assert mount.decide(Observation(mounts=there, tests={test: 0})) is None
    other = mount.decide(Observation(mounts=there, tests={test: 1}))
    assert other is not None
    assert other.lines[0] == "umount -- /m"
    seen = Observation(mounts={"/m": None}, tests={test: 1})
    assert fold([mount, mount], seen)[1].tests == {test: 0}
    (tmp_path / "findmnt").write_text("#!/bin/sh\necho /dev/null\n")
    (tmp_path / "findmnt").chmod(0o755)
    (tmp_path / "a b").symlink_to("/dev/null")
    for source, same in ((tmp_path / "a b", 0), (tmp_path / "other", 1)):
        shell = Mount(path="/m", source=f"/dev/../{source}", fstype="ext4").observe().tests[0]
        done = subprocess.run(shell, env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}, check=False)
        assert done.returncode == same


@pytest.mark.parametrize("form", ["tar", "zip"])
def test_what_was_there_before_an_archive_keeps_its_owner(tmp_path: Path, form: Literal["tar", "zip"]) -> None:
    """All below the directory was given away, what the archive does not hold among it."""
    archive, folder, log = tmp_path / "a", tmp_path / "to here", tmp_path / "log"
    names = ["top/-dash", "top/a b", "top/grün"]
    if form == "tar":
        with tarfile.open(archive, "w") as made:
            for name in names:
                made.addfile(tarfile.TarInfo(name))
    else:
        with zipfile.ZipFile(archive, "w") as zipped:
            for name in names:
                zipped.writestr(name, "")
    folder.mkdir()
    (folder / "other").write_text("mine")
    strip = int(form == "tar")
    operation = Unpacked(path=str(folder), archive=str(archive), name="a", form=form, strip=strip, owner="app")
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    seen = Observation(paths={str(archive): Entry(stat.S_IFREG)}, hashes={str(archive): digest})
    change = operation.decide(seen)
    assert change is not None
    spy = f"chown() {{ printf '%s\\n' \"$@\" >>{shlex.quote(str(log))}; }}"
    (tmp_path / "chown").write_text(f'#!/bin/sh\n{spy}\nchown "$@"\n')
    (tmp_path / "chown").chmod(0o755)
    run([f"PATH={shlex.quote(str(tmp_path))}:$PATH; LC_ALL=C; export LC_ALL", *change.lines])
    folders = [] if strip else ["top"]
    assert log.read_text().splitlines() == ["-h", "--", "app:", *folders, *(name[4 * strip :] for name in names)]
    assert (folder / names[2][4 * strip :]).is_file()
    assert operation.decide(seen.after(change)) is None


@pytest.mark.parametrize("manager", ["apt", "dnf", "zypper"])
def test_a_name_that_another_package_provides(tmp_path: Path, manager: Manager) -> None:
    """`vim` is vim-enhanced on RHEL: it would be installed at every run."""
    change = Packages(names=("vim", "nano"), manager=manager).decide(Observation(packages={"vim": None, "nano": None}))
    assert change is not None
    tools = {
        "dpkg-query": """#!/bin/sh\n[ "$5" != nano ] || { printf 'ii '; exit; }\nprintf 'un '\n""",
        "rpm": """#!/bin/sh\n[ "$5" = nano ]\n""",
        **dict.fromkeys(("apt-get", "dnf", "zypper"), "#!/bin/sh\nexit 0\n"),
    }
    for name, text in tools.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    lines = "\n".join((f"PATH={shlex.quote(str(tmp_path))}:$PATH", *change.lines))
    done = subprocess.run(["sh", "-e"], input=lines, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr.splitlines()) == (
        1,
        ["vim is provided by a package of another name, which was installed: say that name"],
    )
    good = subprocess.run(["sh", "-e"], input=lines.replace("vim ", ""), text=True, capture_output=True, check=False)
    assert (good.returncode, good.stderr) == (0, "")
