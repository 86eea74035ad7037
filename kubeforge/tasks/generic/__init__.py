"""Everyday tasks for any host, with Kubernetes or without: one subject per module; see docs/tasks/."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

__all__ = ["HOMES"]

_TASKS: Final = MappingProxyType(
    {
        "accounts": "group.absent group.present user.absent user.authorized_key user.present user.sudoers",
        "commands": "command.run command.script",
        "contents": "archive.unpacked file.copy file.download file.template",
        "cron": "cron.job",
        "files": "file.absent file.directory file.link file.present",
        "firewall": "firewall.firewalld firewall.nftables firewall.ufw firewall.ufw_enabled",
        "git": "git.checkout",
        "hosts": "host.entries host.name host.timezone",
        "kernel": "kernel.module kernel.sysctl",
        "lines": "file.block file.line",
        "mounts": "mount.present swap.file swap.off",
        "packages": "package.absent package.present package.upgraded repository.apt repository.rpm",
        "reboots": "host.reboot",
        "services": "service.masked service.reload service.restart service.running "
        "service.stopped systemd.drop_in systemd.timer systemd.unit",
        "talk": "check.that debug.facts debug.say file.fetch",
        "waits": "wait.file wait.http wait.port",
    }
)
HOMES: Final[Mapping[str, str]] = MappingProxyType(
    {task: home for home, tasks in _TASKS.items() for task in tasks.split()}
)
"""Task -> the module it is in, so that a playbook imports those that it needs."""
