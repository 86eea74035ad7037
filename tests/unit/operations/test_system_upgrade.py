"""What apt says is due, and what is done about it. The script itself is tried on a real apt in tests/e2e/nodes."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from kubeforge.operations.model import Observation
from kubeforge.operations.system_upgrade import (
    HELD,
    Look,
    SystemUpgrade,
    Upgrade,
    busy_script,
    look_of,
    look_script,
    reboot_script,
)

SAID = """\
reboot-required
reboot-for linux-base
reboot-for dbus
reboot-for dbus
kernel 6.1.0-30-amd64
Inst libc6 [2.36-9+deb12u9] (2.36-9+deb12u10 Debian:12.10/stable [amd64]) []
Inst linux-image-6.1.0-31-amd64 (6.1.128-1 Debian-Security:12/stable-security [amd64])
"""


def seen(text: str, preferences: bytes | None = None) -> Observation:
    contents = {} if preferences is None else {"/etc/apt/preferences": preferences}
    return Observation(outputs={look_script(): text}, contents=contents)


def test_upgrades_are_read() -> None:
    look = look_of(SAID)
    assert look.upgrades == (
        Upgrade("libc6", "2.36-9+deb12u9", "2.36-9+deb12u10"),
        Upgrade("linux-image-6.1.0-31-amd64", "", "6.1.128-1"),
    )
    assert look.stale
    assert look.reboot == "its packages ask for it: linux-base, dbus"


def test_a_host_with_nothing_due() -> None:
    look = look_of("kernel 6.1.0-30-amd64\n")
    assert look == Look()
    assert not look.stale
    assert SystemUpgrade().decide(seen("kernel 6.1.0-30-amd64\n")) is None


@pytest.mark.parametrize(
    ("running", "installed", "newer"),
    [
        ("6.1.0-30-amd64", ["6.1.0-30-amd64"], ""),
        ("6.1.0-30-amd64", ["6.1.0-30-amd64", "6.1.0-31-amd64"], "6.1.0-31-amd64"),
        ("6.1.0-9-amd64", ["6.1.0-9-amd64", "6.1.0-31-amd64", "6.1.0-30-amd64"], "6.1.0-31-amd64"),
        ("6.1.0-31-amd64", ["6.1.0-30-amd64", "6.1.0-31-amd64"], ""),
        ("6.1.0-30-amd64", ["6.1.0-30-amd64", "6.1.0-31-cloud-amd64"], ""),
        ("5.15.0-91-generic", ["5.15.0-91-generic", "6.5.0-14-generic"], "6.5.0-14-generic"),
        ("6.8.12-custom", ["6.1.0-31-amd64"], ""),
        ("6.12.38+deb13-amd64", ["6.12.38+deb13-amd64", "6.12.41+deb13-amd64"], "6.12.41+deb13-amd64"),
        ("6.8.12", [], ""),
    ],
)
def test_a_newer_kernel_of_the_same_flavour_asks_for_a_reboot(running: str, installed: list[str], newer: str) -> None:
    text = f"kernel {running}\n" + "".join(f"installed {one}\n" for one in installed)
    assert look_of(text).reboot == (f"it runs kernel {running}, and {newer} is installed" if newer else "")


def test_an_interrupted_dpkg_is_brought_to_its_end_first() -> None:
    text = "broken\nhalf libfoo1\nrefused dpkg was interrupted, you must manually run 'dpkg --configure -a'\n"
    look = look_of(text)
    assert (look.broken, look.half, look.refused) == (True, ("libfoo1",), ())
    change = SystemUpgrade().decide(seen(text))
    assert change is not None
    assert change.why == "an interrupted installation"
    assert [line.split()[0] for line in change.lines] == ["export", "dpkg", "apt-get", "apt-get", "apt-get"]
    assert change.lines[1].endswith("--configure -a")


def test_the_upgrade_itself() -> None:
    change = SystemUpgrade().decide(seen(SAID, b"Package: *\nPin: release o=mine\nPin-Priority: 700\n"))
    assert change is not None
    assert [line.split()[0] for line in change.lines] == ["export", "apt-get", "apt-get"]
    assert 'Dir::Etc::Preferences="$P"' in change.lines[2]
    assert isinstance(change.payload, bytes)
    assert change.payload.startswith(b"Package: *\nPin: release o=mine\n")
    assert f"Package: {' '.join(HELD)}\nPin: release *\nPin-Priority: -1\n".encode() in change.payload


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("no-apt\n", "apt", False),
        ("busy\n", "busy", True),
        ("error Failed to fetch file:/nowhere\n", "errors", ("Failed to fetch file:/nowhere",)),
        ("refused Unmet dependencies\n", "refused", ("Unmet dependencies",)),
    ],
)
def test_what_is_in_the_way(text: str, field: str, value: Any) -> None:
    assert getattr(look_of(text), field) == value


@pytest.mark.parametrize("script", [look_script(), look_script(("a'b",)), reboot_script(), busy_script()])
def test_scripts_are_posix_sh(script: str) -> None:
    checked = subprocess.run(["sh", "-n"], input=script, text=True, capture_output=True, check=False)
    assert (checked.returncode, checked.stderr) == (0, "")


def test_the_reboot_script_answers_on_any_machine() -> None:
    said = subprocess.run(["sh", "-c", reboot_script()], text=True, capture_output=True, check=True).stdout
    assert any(line.startswith("kernel ") for line in said.splitlines())
