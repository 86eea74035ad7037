"""Whose is which lab number: one symbolic link per number below /run, to the folder of the lab that has it.

A number names a subnet, a link and cgroups of the whole machine, and labs may be kept in several folders
(KUBEFORGE_LABS): so before anything with a number is made or removed, it is claimed here. The caller holds the
machine's lock. Nothing that a claim stands for outlives the machine's boot, and neither does the claim.
"""

from __future__ import annotations

from pathlib import Path

from kubeforge.errors import LabError

__all__ = ["claim", "claims", "release"]

_STEM = "lab-"


def claims(machine: Path) -> dict[int, Path]:
    """Return number -> folder of the lab that has it; the folder may have been removed by hand since."""
    return {int(link.name.removeprefix(_STEM)): link.readlink() for link in machine.glob(f"{_STEM}*")}


def claim(machine: Path, number: int, folder: Path) -> None:
    """Make a number the lab's, if it is nobody else's.

    Args:
        machine: folder of claims.
        number: the lab's number.
        folder: the lab's folder.

    Raises:
        LabError: another lab has it.
    """
    owner = claims(machine).get(number)
    if owner == folder:
        return
    if owner is not None and owner.is_dir():
        raise LabError(
            f"the network 10.77.{number}.0/24 of lab {folder.name} is taken by the lab in {owner}",
            remedy=f"take one of them down: kubeforge lab down {folder.name}",
        )
    release(machine, number)
    (machine / f"{_STEM}{number}").symlink_to(folder)


def release(machine: Path, number: int) -> None:
    """Make a number nobody's."""
    (machine / f"{_STEM}{number}").unlink(missing_ok=True)
