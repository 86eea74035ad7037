"""What shall be true on a host: one module per kind of operation, each pure: observe, decide, and the shell to act."""

from __future__ import annotations

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
    "Unit",
    "Unpacked",
    "User",
]
