"""Packages for lab hosts, which reach no package source: made here, or fetched by this machine's apt."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.faults.conftest import Forge

PLACE = "/srv/repo"
# $1 package, $2 version, $3 what it does when it is configured
_PACKAGE = rf"""
mkdir -p {PLACE}; made=$(mktemp -d); mkdir "$made/DEBIAN"
printf 'Package: %s\nVersion: %s\nArchitecture: all\nMaintainer: x <x@example.test>\nDescription: x\n' \
    "$1" "$2" >"$made/DEBIAN/control"
printf '#!/bin/sh\nset -e\n%s\n' "$3" >"$made/DEBIAN/postinst"; chmod 0755 "$made/DEBIAN/postinst"
dpkg-deb -b "$made" "{PLACE}/$1_$2.deb"; rm -r "$made"
"""
_INDEX = rf"""
cd {PLACE}; : >Packages
for file in *.deb; do
    dpkg-deb -f "$file"
    digest=$(sha256sum "$file" | cut -c -64)
    printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$file" "$(stat -c %s "$file")" "$digest"
done >>Packages
echo 'deb [trusted=yes] file:{PLACE} ./' >/etc/apt/sources.list
"""


def offer(forge: Forge, host: str, package: str, version: str, does: str = ":") -> None:
    """Put a package into a host's own source."""
    forge.sh(host, f"set -- {package} {version} '{does}'\n{_PACKAGE}{_INDEX}")


def supply(forge: Forge, pattern: str, hosts: Sequence[str], folder: Path, *names: str) -> None:
    """Put packages of the distribution, with what they need, into the own sources of hosts that are alike."""
    for place in ("lists/partial", "archives/partial"):
        (folder / place).mkdir(parents=True)
    (folder / "status").write_text(forge.sh(hosts[0], "cat /var/lib/dpkg/status"))
    places = {"State::lists": "lists", "Cache::archives": "archives", "State::status": "status"}
    options = [f"-oDir::{name}={folder / place}" for name, place in places.items()]
    apt = ["apt-get", "-qq", "-oAPT::Sandbox::User=root", *options]
    for words in (["update"], ["install", "--download-only", "--yes", "--no-install-recommends", *names]):
        done = subprocess.run([*apt, *words], capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
    (folder / "archives" / "lock").unlink()
    (folder / "archives" / "partial").rmdir()
    forge.run("copy", pattern, str(folder / "archives"), PLACE, "--yes").check(0)
    for host in hosts:
        forge.sh(host, _INDEX)
