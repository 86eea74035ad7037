"""What the lines for SUSE do, run by sh with programs that answer as zypper 1.14 and rpm 4 do."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from kubeforge.operations import Command
from kubeforge.operations.model import Observation, Operation
from kubeforge.transport.protocol import packages

# Keeps a file for each package that is installed; statuses and words are zypper(8)'s. $STATE/status is how it ends.
ZYPPER: Final = r"""#!/bin/sh
echo "$*" >>"$STATE/calls"
quiet= asks=1
while :; do
  case $1 in
    --quiet) quiet=1; shift ;;
    --non-interactive) asks=; shift ;;
    *) break ;;
  esac
done
verb=$1; shift
[ -z "$asks" ] || { echo 'Continue? [y/n/v/...? shows all options] (y): ' >&2; exit 105; }
[ -n "$quiet" ] || { echo 'Loading repository data...'; echo 'Reading installed packages...'; }
end=$(cat "$STATE/status" 2>/dev/null || echo 0)
case $end in 0 | 102) ;; *) echo 'System management is locked by pid 7 (zypper).' >&2; exit $end ;; esac
case $verb in
  install)
    for name; do [ -e "$STATE/offers/$name" ] || { echo "No provider of '$name' found." >&2; exit 104; }; done
    for name; do cp "$STATE/offers/$name" "$STATE/has/$name"; done ;;
  remove) for name; do rm "$STATE/has/$name" || exit 104; done ;;
  update) for file in "$STATE"/has/*; do cp "$STATE/offers/${file##*/}" "$file"; done ;;
  list-updates)
    rows=$(cd "$STATE/has"; for name in *; do
      cmp -s "$name" "../offers/$name" ||
        echo "v | Main Update | $name | $(cat "$name") | $(cat "../offers/$name") | x86_64"
    done)
    [ -n "$rows" ] || { echo 'No updates found.'; exit; }
    printf 'S | Repository | Name | Current Version | Available Version | Arch\n--+--+--+--+--+--\n%s\n' "$rows" ;;
  *) echo "Unknown command '$verb'" >&2; exit 2 ;;
esac
exit "$end"
"""
RPM: Final = r"""#!/bin/sh
[ "$1 $2" = '-q --qf' ] && [ "$4" = -- ] || exit 9
form=$3 end=0
shift 4
for name; do
  if [ -e "$STATE/has/$name" ]; then
    printf "$(printf %s "$form" | sed "s/%{NAME}/$name/; s/%{VERSION}-%{RELEASE}/$(cat "$STATE/has/$name")/")"
  else echo "package $name is not installed"; end=1; fi
done
exit $end
"""


class Suse:
    """This machine with zypper and rpm in place of its own programs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("bin", "has", "offers"):
            (folder / name).mkdir()
        for name, text in (("zypper", ZYPPER), ("rpm", RPM)):
            file = folder / "bin" / name
            file.write_text(text)
            file.chmod(0o755)
        for name in ("nginx", "socat"):
            (folder / "offers" / name).write_text("1.0-150400.1")

    def run(self, text: str) -> subprocess.CompletedProcess[str]:
        """Run lines as a host does."""
        known = {"PATH": f"{self.folder}/bin:{os.environ['PATH']}", "STATE": str(self.folder)}
        return subprocess.run(["sh", "-e"], input=text, capture_output=True, text=True, check=False, env=known)

    def seen(self, operation: Operation) -> Observation:
        """Look for what an operation asks: packages by rpm, and tests."""
        asked = operation.observe()
        told = self.run(packages.survey(asked.packages).replace("/var/lib/dpkg/status", "/nowhere")).stdout
        tests = {test: self.run(f"{test[0]} {test[1]} '{_quoted(test[2])}'").returncode for test in asked.tests}
        words = dict.fromkeys(asked.outputs, "opensuse-leap suse opensuse\n")
        return Observation(packages=packages.installed(asked.packages, told.encode()), tests=tests, outputs=words)

    def turn(self, operation: Operation) -> tuple[str, int | None]:
        """Look, and do what is due; return why it is, and how that ended."""
        change = operation.decide(self.seen(operation))
        return (change.why, self.run("\n".join(change.lines)).returncode) if change else ("", None)

    @property
    def has(self) -> dict[str, str]:
        """Package -> version."""
        return {file.name: file.read_text() for file in (self.folder / "has").iterdir()}


def _quoted(text: str) -> str:
    return text.replace("'", r"'\''")


@pytest.fixture
def suse(site: Any, tmp_path: Path) -> Suse:
    site.family = "suse"
    folder = tmp_path / "suse"
    folder.mkdir()
    return Suse(folder)


@pytest.mark.parametrize("names", [["nginx"], ["nginx", "socat"]])
def test_install_and_remove(site: Any, suse: Suse, names: list[str]) -> None:
    (present,) = site.ask("package.present", names=names)
    why, ended = suse.turn(present)
    assert "not installed" in why
    assert ended == 0
    assert suse.has == dict.fromkeys(names, "1.0-150400.1")
    assert suse.seen(present).packages == suse.has
    assert suse.turn(present) == ("", None)
    for absent in site.ask("package.absent", names=names):
        assert suse.turn(absent) == ("is installed", 0)
        assert suse.turn(absent) == ("", None)
    assert suse.has == {}


def test_a_package_that_no_source_has(site: Any, suse: Suse) -> None:
    (present,) = site.ask("package.present", names="ngnix")
    assert suse.turn(present) == ("is not installed", 104)


def test_upgrade(site: Any, suse: Suse) -> None:
    suse.turn(site.ask("package.present", names=["nginx", "socat"])[0])
    (upgrade,) = site.ask("package.upgraded")
    assert isinstance(upgrade, Command)
    assert suse.turn(upgrade) == ("", None), "No updates found."
    (suse.folder / "offers/nginx").write_text("1.1-150400.1")
    assert suse.turn(upgrade) == ("is due", 0)
    assert suse.has == {"nginx": "1.1-150400.1", "socat": "1.0-150400.1"}
    assert suse.turn(upgrade) == ("", None)
    assert "--non-interactive update" in (suse.folder / "calls").read_text().splitlines()


@pytest.mark.parametrize(("status", "ended"), [(102, 0), (4, 1), (7, 1), (106, 1)])
def test_how_zypper_ends(site: Any, suse: Suse, status: int, ended: int) -> None:
    """102: done, and a reboot is needed. Else, is anything due? Nobody knows: the upgrade tells why."""
    suse.turn(site.ask("package.present", names="nginx")[0])
    (suse.folder / "offers/nginx").write_text("1.1-150400.1")
    (suse.folder / "status").write_text(str(status))
    assert suse.turn(site.ask("package.upgraded")[0]) == ("is due", ended)
