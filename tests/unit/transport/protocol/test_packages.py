"""What is installed: read from dpkg's own record as dpkg-query would tell it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from kubeforge.transport.protocol import packages

RECORD = """\
Package: alpha
Essential: yes
Status: install ok installed
Priority: required
Version: 1:2.3-4+b1
Description: the first
 Version: no field, it is indented

Package: alphabet
Status: hold ok installed
Version: 5

Package: gone
Status: deinstall ok config-files
Version: 1.0

Package: broken
Status: install ok half-configured
Version: 2.0

Package: last
Status: install ok installed
Version: 9~rc1
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a record of dpkg's, which stands for the real one."""
    (tmp_path / "status").write_text(RECORD)
    (tmp_path / "updates").mkdir()
    monkeypatch.setattr(packages, "_RECORD", str(tmp_path / "status"))
    monkeypatch.setattr(packages, "_UPDATES", str(tmp_path / "updates"))
    return tmp_path


def answer(names: tuple[str, ...], path: str = "/usr/sbin:/usr/bin:/sbin:/bin") -> bytes:
    argv = ["sh", "-c", packages.survey(names)]
    return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={"PATH": path}).stdout  # noqa: PLW1510 - what is not installed is a status, too


@pytest.mark.usefixtures("place")
def test_what_is_installed_and_what_is_not() -> None:
    names = ("alpha", "alphabet", "gone", "broken", "last", "alph", "no-such", "a.pha")
    assert packages.installed(names, answer(names)) == {
        "alpha": "1:2.3-4+b1",
        "alphabet": "5",
        "gone": None,
        "broken": None,
        "last": "9~rc1",
        "alph": None,
        "no-such": None,
        "a.pha": None,
    }


def test_a_dpkg_at_work_is_asked_itself(place: Path) -> None:
    """Its record is behind: what it has done lies beside it."""
    (place / "updates" / "0001").write_text("")
    asked = place / "bin" / "dpkg-query"
    asked.parent.mkdir()
    asked.write_text("#!/bin/sh\nprintf 'Package: alpha\\nStatus: install ok installed\\nVersion: 3\\n'\n")
    asked.chmod(0o755)
    assert packages.installed(("alpha",), answer(("alpha",), path=f"{asked.parent}:/usr/bin:/bin")) == {"alpha": "3"}


def test_rpm_is_asked_where_dpkg_is_not(place: Path) -> None:
    (place / "status").unlink()
    rpm = place / "bin" / "rpm"
    rpm.parent.mkdir()
    said = "Package: bash\\nStatus: install ok installed\\nVersion: 5.2-3.el9\\npackage zsh is not installed\\n"
    rpm.write_text(f"#!/bin/sh\nprintf '{said}'\n")
    rpm.chmod(0o755)
    found = packages.installed(("bash", "zsh"), answer(("bash", "zsh"), path=f"{rpm.parent}:/usr/bin:/bin"))
    assert found == {"bash": "5.2-3.el9", "zsh": None}


@pytest.mark.skipif(not Path("/var/lib/dpkg/status").exists(), reason="this machine has no dpkg")
def test_all_of_this_machine_as_dpkg_tells_it() -> None:
    told = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package}\t${db:Status-Abbrev}\t${Version}\n"],
        capture_output=True,
        text=True,
        check=True,
    )
    rows = [row.split("\t") for row in told.stdout.splitlines()]
    expected = {name: version if state[1] == "i" else None for name, state, version in rows}
    assert packages.installed(tuple(expected), answer(tuple(expected))) == expected


@pytest.mark.usefixtures("place")
def test_a_package_of_another_architecture(tmp_path: Path) -> None:
    """The record names it without: it would be missing for ever."""
    tool = tmp_path / "dpkg-query"
    tool.write_text(
        '#!/bin/sh\n[ "$5" = libc6:i386 ] || exit 1\n'
        "case $3 in *Abbrev*) printf 'libc6:i386\\tii \\t2.36\\n' ;; *) printf \"${3%%\\\\\\\\n*}\\n\";"
        " printf 'Status: install ok installed\\nVersion: 2.36\\n' ;; esac\n"
    )
    tool.chmod(0o755)
    names = ("alpha", "libc6:i386", "libx:i386")
    found = packages.installed(names, answer(names, path=f"{tmp_path}:/usr/bin:/bin"))
    assert found == {"alpha": "1:2.3-4+b1", "libc6:i386": "2.36", "libx:i386": None}
    assert "-f 'libc6:i386\\t${db:Status-Abbrev}\\t${Version}\\n' -- libc6:i386\n" in packages.query(names)
