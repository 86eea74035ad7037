"""What the lines for RHEL do, run by sh with programs that answer as firewalld 1.2, dnf 4 and its plugins do."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from kubeforge.operations import Command, Restart, Setting, Unit
from kubeforge.operations.model import Observation
from kubeforge.tasks.generic.reboots import _REQUIRED

# Keeps a file for each thing that is let through; statuses and words are firewall-cmd(1)'s.
FIREWALL_CMD: Final = r"""#!/bin/sh
quiet= place=live zone=public verb= thing=
for word; do
  case $word in
    -q) quiet=1 ;;
    --permanent) place=kept ;;
    --zone=*) zone=${word#--zone=} ;;
    --state) verb=state ;;
    --query-*) verb=query thing=${word#--query-} ;;
    --add-*) verb=add thing=${word#--add-} ;;
    --remove-*) verb=remove thing=${word#--remove-} ;;
    *) echo "usage: $word" >&2; exit 2 ;;
  esac
done
say() { [ -n "$quiet" ] || echo "$1"; }
[ -e "$STATE/runs" ] || { say 'FirewallD is not running' >&2; exit 252; }
case $zone in public | dmz) ;; *) say "Error: INVALID_ZONE: $zone" >&2; exit 112 ;; esac
file=$STATE/$place.$zone.$(echo "$thing" | tr '/ ' '__')
case $verb in
  state) say running ;;
  query) if [ -e "$file" ]; then say yes; else say no; exit 1; fi ;;
  add) if [ -e "$file" ]; then say "Warning: ALREADY_ENABLED: $thing" >&2; fi; : >"$file"; say success ;;
  remove) rm "$file"; say success ;;
esac
"""
CHECK_UPDATE: Final = """
NetworkManager.x86_64                1:1.46.0-13.el9_4               baseos
openssl-libs.x86_64                  1:3.0.7-28.el9_4                baseos
"""
NEEDS_RESTARTING: Final = """Core libraries or services have been updated since boot-up:
  * glibc
  * systemd

Reboot is required to fully utilize these updates.
More information: https://access.redhat.com/solutions/27943
"""

Run = Callable[[str], "subprocess.CompletedProcess[str]"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bin").mkdir()
    return tmp_path


def program(folder: Path, name: str, text: str) -> None:
    file = folder / "bin" / name
    file.write_text(text if text.startswith("#!") else f"#!/bin/sh\n{text}")
    file.chmod(0o755)


@pytest.fixture
def run(folder: Path) -> Run:
    """Run lines as a host does."""
    environment = {"PATH": f"{folder}/bin:{os.environ['PATH']}", "STATE": str(folder)}

    def run_lines(text: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(["sh", "-e"], input=text, capture_output=True, text=True, check=False, env=environment)

    return run_lines


def turn(run: Run, setting: Setting) -> tuple[str, subprocess.CompletedProcess[str] | None]:
    """Look, and do what is due; return why it is, and what the lines came to."""
    seen = Observation(outputs={setting.probe: run(setting.probe).stdout})
    change = setting.decide(seen)
    return (change.why, run("\n".join(change.lines))) if change else ("", None)


@pytest.mark.parametrize(
    "what",
    [
        {"port": "443/tcp"},
        {"service": "https", "zone": "dmz"},
        {"source": "192.0.2.0/24"},
        {"rich_rule": 'rule family="ipv4" source address="192.0.2.7" accept'},
    ],
)
def test_firewalld(site: Any, folder: Path, run: Run, what: dict[str, str]) -> None:
    program(folder, "firewall-cmd", FIREWALL_CMD)
    (folder / "runs").touch()
    (opened,) = site.ask("firewall.firewalld", **what)
    why, done = turn(run, opened)
    assert (why, done and done.returncode) == ("is disabled, disabled", 0)
    assert turn(run, opened) == ("", None)
    next(folder.glob("live.*")).unlink()  # somebody has taken it back, until the next reload
    why, done = turn(run, opened)
    assert (why, done and done.stderr) == ("is enabled, disabled", ""), "what is kept is not added again"
    (closed,) = site.ask("firewall.firewalld", state="disabled", **what)
    assert turn(run, closed)[0] == "is enabled, enabled"
    assert turn(run, closed) == ("", None)
    assert not list(folder.glob("live.*"))


def test_firewalld_says_why_it_cannot(site: Any, folder: Path, run: Run) -> None:
    program(folder, "firewall-cmd", FIREWALL_CMD)
    (port,) = site.ask("firewall.firewalld", port="443/tcp")
    why, done = turn(run, port)
    assert why == "is not running"
    assert done
    assert (done.returncode, done.stderr) == (1, "firewalld does not run: service.running: {name: firewalld}\n")
    (folder / "runs").touch()
    (zone,) = site.ask("firewall.firewalld", port="443/tcp", zone="nowhere")
    _, done = turn(run, zone)
    assert done
    assert (done.returncode, done.stderr) == (112, "Error: INVALID_ZONE: nowhere\n")


def test_nftables_of_rhel(site: Any) -> None:
    site.family = "rhel"
    rules, unit, reload = site.ask("firewall.nftables", rules="flush ruleset\n")
    assert rules.operation.path == "/etc/sysconfig/nftables.conf"
    assert isinstance(unit, Unit)
    assert isinstance(reload.operation, Restart)


@pytest.mark.parametrize(("status", "due"), [(0, False), (100, True), (1, True)])
def test_dnf_tells_what_is_due(site: Any, folder: Path, run: Run, status: int, due: bool) -> None:
    """100: there are updates; 1: the sources do not answer, which the upgrade itself then tells."""
    site.family = "rhel"
    said = CHECK_UPDATE if status == 100 else ""
    program(folder, "dnf", f"[ \"$*\" = '-q check-update' ] || exit 9\ncat <<'E'\n{said}E\nexit {status}\n")
    (upgrade,) = site.ask("package.upgraded")
    assert isinstance(upgrade, Command)
    (test,) = upgrade.observe().tests
    found = run(f"{' '.join(test[:2])} '{test[2]}'").returncode
    assert (found != 0) is due
    assert upgrade.argv == ("dnf", "-y", "upgrade")


@pytest.mark.parametrize(("status", "needed"), [(0, False), (1, True)])
def test_needs_restarting_tells_of_reboots(folder: Path, run: Run, status: int, needed: bool) -> None:
    said = NEEDS_RESTARTING if status else "No core libraries or services have been updated since boot-up.\n"
    program(folder, "needs-restarting", f"[ \"$*\" = -r ] || exit 9\ncat <<'E'\n{said}E\nexit {status}\n")
    if any(Path(path).exists() for path in ("/run/reboot-required", "/var/run/reboot-required", "/run/reboot-needed")):
        pytest.skip("this machine wants a reboot itself")
    assert (run(_REQUIRED).returncode == 0) is needed
