"""A signed source of packages, made on this machine: one package in two versions."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Final

__all__ = ["KEY_FILE", "signed_source"]

KEY_FILE: Final = "kfit.asc"
_CONTROL: Final = "Package: kfit-demo\nVersion: {}\nArchitecture: all\nMaintainer: x <x@example.test>\nDescription: x\n"


def signed_source(files: Path, scratch: Path) -> None:
    """Write `source/1`, and `source/2` as it is a day later, with a newer version; and the key that signs both.

    Args:
        files: the playbook's folder of files.
        scratch: an empty folder.
    """
    home = scratch / "gnupg"
    home.mkdir(mode=0o700)
    gpg = ("gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "")
    _run(*gpg, "--quick-generate-key", "kfit <kfit@example.test>", "ed25519", "sign", "never")
    _run(*gpg, "--armor", "--output", str(files / KEY_FILE), "--export")
    for number in (1, 2):
        folder = files / "source" / str(number)
        folder.mkdir(parents=True)
        _package(scratch / f"deb-{number}", folder, f"{number}.0")
        _release(folder, datetime.now(UTC) - timedelta(days=2 - number))
        _run(*gpg, "--clearsign", "--output", str(folder / "InRelease"), str(folder / "Release"))
    _run("gpgconf", "--homedir", str(home), "--kill", "all")


def _package(scratch: Path, folder: Path, version: str) -> None:
    (scratch / "DEBIAN").mkdir(parents=True, mode=0o755)
    control = _CONTROL.format(version)
    (scratch / "DEBIAN" / "control").write_text(control)
    file = folder / f"kfit-demo_{version}_all.deb"
    _run("dpkg-deb", "--root-owner-group", "--build", str(scratch), str(file))
    content = file.read_bytes()
    rows = f"Filename: ./{file.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n\n"
    (folder / "Packages").write_text(control + rows)


def _release(folder: Path, made: datetime) -> None:
    packages = (folder / "Packages").read_bytes()
    row = f" {hashlib.sha256(packages).hexdigest()} {len(packages)} Packages"
    (folder / "Release").write_text(f"Origin: kfit\nDate: {format_datetime(made, usegmt=True)}\nSHA256:\n{row}\n")


def _run(*argv: str) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{argv}: {done.stderr}"
