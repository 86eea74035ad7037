"""What shall be true on a host: one module per kind of operation, each pure: observe, decide, and the shell to act.

A kind is imported when it is first used: a run needs few of them, and to make all of these classes takes 40 ms.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from kubeforge.operations.absent import Absent
    from kubeforge.operations.account import Account, Password
    from kubeforge.operations.artifact import Artifact, Stored
    from kubeforge.operations.becoming import AsUser
    from kubeforge.operations.checkout import Checkout
    from kubeforge.operations.cleared import Cleared
    from kubeforge.operations.command import Command
    from kubeforge.operations.directory import Directory
    from kubeforge.operations.download import Download
    from kubeforge.operations.edited import Edited
    from kubeforge.operations.file import File
    from kubeforge.operations.group import Group
    from kubeforge.operations.image import Image
    from kubeforge.operations.image_absent import ImagesAbsent
    from kubeforge.operations.kernel_module import KernelModule
    from kubeforge.operations.listing import Listing
    from kubeforge.operations.mount import Mount
    from kubeforge.operations.notified import Notified, Notifying
    from kubeforge.operations.package import Package, Packages
    from kubeforge.operations.restart import Restart
    from kubeforge.operations.setting import Setting
    from kubeforge.operations.swap import SwapOff
    from kubeforge.operations.symlink import Symlink
    from kubeforge.operations.sysctl import Sysctl
    from kubeforge.operations.system_upgrade import SystemUpgrade
    from kubeforge.operations.time_zone import TimeZone
    from kubeforge.operations.unit import Unit
    from kubeforge.operations.unpacked import Unpacked
    from kubeforge.operations.user import User

__all__ = [
    "Absent",
    "Account",
    "Artifact",
    "AsUser",
    "Checkout",
    "Cleared",
    "Command",
    "Directory",
    "Download",
    "Edited",
    "File",
    "Group",
    "Image",
    "ImagesAbsent",
    "KernelModule",
    "Listing",
    "Mount",
    "Notified",
    "Notifying",
    "Package",
    "Packages",
    "Password",
    "Restart",
    "Setting",
    "Stored",
    "SwapOff",
    "Symlink",
    "Sysctl",
    "SystemUpgrade",
    "TimeZone",
    "Unit",
    "Unpacked",
    "User",
]

_HOMES: Final = {
    "Absent": "absent",
    "Account": "account",
    "Artifact": "artifact",
    "AsUser": "becoming",
    "Checkout": "checkout",
    "Cleared": "cleared",
    "Command": "command",
    "Directory": "directory",
    "Download": "download",
    "Edited": "edited",
    "File": "file",
    "Group": "group",
    "Image": "image",
    "ImagesAbsent": "image_absent",
    "KernelModule": "kernel_module",
    "Listing": "listing",
    "Mount": "mount",
    "Notified": "notified",
    "Notifying": "notified",
    "Package": "package",
    "Packages": "package",
    "Password": "account",
    "Restart": "restart",
    "Setting": "setting",
    "Stored": "artifact",
    "SwapOff": "swap",
    "Symlink": "symlink",
    "Sysctl": "sysctl",
    "SystemUpgrade": "system_upgrade",
    "TimeZone": "time_zone",
    "Unit": "unit",
    "Unpacked": "unpacked",
    "User": "user",
}


def __getattr__(name: str) -> Any:
    """Return a kind; its module is imported when it is first used."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
