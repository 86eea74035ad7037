"""The job, once for all contenders: 10 files from templates, 5 directories, 4 lines, 6 commands, 5 packages."""

from __future__ import annotations

from pathlib import Path
from typing import Final

FILES: Final = 10
DIRECTORIES: Final = 5
LINES: Final = 4
COMMANDS: Final = (
    ("sysctl", "-n", "kernel.ostype"),
    ("test", "-e", "/etc/passwd"),
    ("sysctl", "-n", "net.ipv4.ip_forward"),
    ("id", "root"),
    ("uname", "-r"),
    ("getent", "passwd", "root"),
)
PACKAGES: Final = ("coreutils", "bash", "dpkg", "sed", "grep")


def template(number: int) -> str:
    """The n-th template: fifteen lines, two variables."""
    lines = [f"option_{line} = {{{{ basevar }}}}-{number}-{line}" for line in range(12)]
    return "\n".join(["# managed", "host = {{ node }}", *lines, f"end = {number}"]) + "\n"


def write_templates(folder: Path) -> None:
    """Write `t0.j2` to `t9.j2`."""
    folder.mkdir(exist_ok=True)
    for number in range(FILES):
        (folder / f"t{number}.j2").write_text(template(number))


def directory(number: int) -> int:
    """The directory in which the n-th file lies."""
    return number // 2
