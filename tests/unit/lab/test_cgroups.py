"""Reading the machine's cgroup hierarchies from a mount table."""

from __future__ import annotations

from pathlib import Path

from kubeforge.lab.cgroups import parse_hierarchies, processes, remove

HYBRID = """\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate
42 31 0:32 / /mnt/again rw,relatime - cgroup cgroup rw,memory
"""
PURE = "30 23 0:26 /../.. /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n"


def test_hybrid_machine() -> None:
    found = parse_hierarchies(HYBRID)
    assert [(str(each.mount), each.key, each.unified) for each in found] == [
        ("/sys/fs/cgroup/cpu,cpuacct", "cpu,cpuacct", False),
        ("/sys/fs/cgroup/memory", "memory", False),
        ("/sys/fs/cgroup/systemd", "name=systemd", False),
        ("/sys/fs/cgroup/unified", "", True),
    ]


def test_pure_v2_machine() -> None:
    (only,) = parse_hierarchies(PURE)
    assert only.unified
    assert only.mount == Path("/sys/fs/cgroup")
    assert only.root == "/../.."


def test_processes_are_those_of_all_levels(tmp_path: Path) -> None:
    below = tmp_path / "a" / "b"
    below.mkdir(parents=True)
    (tmp_path / "cgroup.procs").write_text("12\n")
    (below / "cgroup.procs").write_text("34\n56\n")
    assert processes(tmp_path) == {12, 34, 56}


def test_removing_goes_bottom_up(tmp_path: Path) -> None:
    top = tmp_path / "kflab0"
    (top / "w1" / "system.slice").mkdir(parents=True)
    remove(top)
    assert not top.exists()
    remove(top)
