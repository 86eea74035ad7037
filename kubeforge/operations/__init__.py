"""What shall be true on a host: one module per kind of operation, each pure: observe, decide, and the shell to act."""

from __future__ import annotations

from kubeforge.operations.absent import Absent
from kubeforge.operations.artifact import Artifact, Stored
from kubeforge.operations.cleared import Cleared
from kubeforge.operations.command import Command
from kubeforge.operations.directory import Directory
from kubeforge.operations.file import File
from kubeforge.operations.image import Image
from kubeforge.operations.image_absent import ImagesAbsent
from kubeforge.operations.kernel_module import KernelModule
from kubeforge.operations.listing import Listing
from kubeforge.operations.mount import Mount
from kubeforge.operations.package import Package
from kubeforge.operations.swap import SwapOff
from kubeforge.operations.symlink import Symlink
from kubeforge.operations.sysctl import Sysctl
from kubeforge.operations.system_upgrade import SystemUpgrade
from kubeforge.operations.unit import Unit
from kubeforge.operations.user import User

__all__ = [
    "Absent",
    "Artifact",
    "Cleared",
    "Command",
    "Directory",
    "File",
    "Image",
    "ImagesAbsent",
    "KernelModule",
    "Listing",
    "Mount",
    "Package",
    "Stored",
    "SwapOff",
    "Symlink",
    "Sysctl",
    "SystemUpgrade",
    "Unit",
    "User",
]
