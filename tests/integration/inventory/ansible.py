"""The real Ansible, as it is installed beside the tests' Python or elsewhere on the path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

__all__ = ["Ansible", "find_ansible"]

_DEADLINE = 120


@dataclass(frozen=True, slots=True)
class Ansible:
    """Ansible's programs, run in a folder and a home of their own, without anybody's configuration.

    Args:
        programs: where they lie.
        home: an empty folder.
    """

    programs: Path
    home: Path

    def run(self, program: str, *arguments: str, stdin: str = "") -> str:
        """Return what a program prints; the test fails with its last words where it fails."""
        config = self.home / "ansible.cfg"
        config.touch()  # an empty one: it goes by the name's ending
        done = subprocess.run(
            [self.programs / program, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=_DEADLINE,
            cwd=self.home,
            env={
                "PATH": os.environ["PATH"],
                "HOME": str(self.home),
                "LC_ALL": "C.UTF-8",
                "ANSIBLE_CONFIG": str(config),
                "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "True",
            },
            check=False,
        )
        if done.returncode:
            pytest.fail(f"{program} {' '.join(arguments)}: {done.stderr[-2000:]}")
        return done.stdout


def find_ansible(home: Path) -> Ansible:
    """Return the Ansible to compare with; without one the test fails, for it would prove nothing."""
    beside = Path(sys.executable).parent / "ansible-inventory"
    found = str(beside) if beside.exists() else shutil.which("ansible-inventory")
    if found is None:
        pytest.fail("ansible-inventory is neither beside Python nor on the path: pip install ansible-core")
    return Ansible(Path(found).parent, home)
