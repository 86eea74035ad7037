"""What the hosts' root file system is made of. Pure: the machine's apt configuration goes in as text."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

__all__ = ["OPERATIONS_USER", "PACKAGES", "Recipe", "apt_options", "debian_sources"]

PACKAGES = (
    "ca-certificates",
    "conntrack",
    "curl",
    "dbus",
    "ethtool",
    "haproxy",
    "ipset",
    "iproute2",
    "iptables",
    "keepalived",
    "kmod",
    "nftables",
    "openssh-server",
    "procps",
    "socat",
    "sudo",
    "systemd",
    "systemd-sysv",
    "util-linux",
    "zstd",
)

OPERATIONS_USER, PASSWORD_USER, PASSWORD = "ops", "opspw", "lab"
"""Two users besides root: sudo without a password, and with this one. It is no secret: every lab has it."""

_MASKED = (
    "apt-daily-upgrade.timer",
    "apt-daily.timer",
    "console-getty.service",
    "dev-hugepages.mount",
    "dev-mqueue.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "getty@.service",
    "haproxy.service",
    "keepalived.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-journald-audit.socket",
    "systemd-modules-load.service",
    "systemd-udev-trigger.service",
    "systemd-udevd-control.socket",
    "systemd-udevd-kernel.socket",
    "systemd-udevd.service",
)
"""Units that would reach for the machine's own devices and kernel, or wake up or run for nothing."""

_FILES = {
    "etc/systemd/journald.conf.d/lab.conf": ("[Journal]\nReadKMsg=no\nAudit=no\nStorage=volatile\nRuntimeMaxUse=32M\n"),
    "etc/ssh/sshd_config.d/lab.conf": (
        "UseDNS no\nHostKey /etc/ssh/ssh_host_ed25519_key\nHostKey /etc/ssh/ssh_host_ecdsa_key\n"
    ),
    "etc/default/locale": "",  # sshd's PAM complains in the log of every login where it is missing
    "etc/sudoers.d/lab": f"{OPERATIONS_USER} ALL=(ALL:ALL) NOPASSWD: ALL\n{PASSWORD_USER} ALL=(ALL:ALL) ALL\n",
}

_EXCLUDED = ("usr/share/doc", "usr/share/info", "usr/share/locale", "usr/share/man", "usr/share/lintian")

_HOOK = """\
set -eu
root=$1
chroot "$root" useradd --create-home --uid 1000 --shell /bin/bash {ops}
chroot "$root" useradd --create-home --uid 1001 --shell /bin/bash {opspw}
printf '%s\\n' '{opspw}:{password}' | chroot "$root" chpasswd
{files}
{masks}
chmod 0440 "$root/etc/sudoers.d/lab"
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
rm -f "$root"/etc/ssh/ssh_host_*_key* "$root/etc/hostname" "$root/etc/resolv.conf" "$root/var/lib/dbus/machine-id"
rm -f "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*
rm -f "$root/etc/apt/apt.conf.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap"
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/apt "$root"/var/log/*.log
: > "$root/etc/machine-id"
"""
"""Run by mmdebstrap with the root file system as first argument, after the packages are in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A root file system to make.

    Args:
        suite: Debian's name of the release.
        sources: apt sources, in one-line format.
        options: apt configuration, e.g. `Acquire::Check-Date "false"`.
    """

    suite: str
    sources: tuple[str, ...]
    options: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Name of the result in the cache: another recipe has another one.

        How the packages are fetched (options, keyrings) is no part of it.
        """
        parts = (self.suite, *self.sources, *PACKAGES, *_EXCLUDED, self.hook)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    @property
    def hook(self) -> str:
        """A shell script that turns an ordinary Debian into the lab's."""
        files = "\n".join(_write_line(path, text) for path, text in _FILES.items())
        masks = "\n".join(f'ln -sf /dev/null "$root/etc/systemd/system/{unit}"' for unit in _MASKED)
        return _HOOK.format(ops=OPERATIONS_USER, opspw=PASSWORD_USER, password=PASSWORD, files=files, masks=masks)

    def command(self, target: str, hook: str) -> list[str]:
        """Return the mmdebstrap command.

        Args:
            target: folder to make.
            hook: path of an executable file that holds `hook`.
        """
        return [
            "mmdebstrap",
            "--mode=root",
            "--format=directory",
            "--variant=minbase",
            f"--include={','.join(PACKAGES)}",
            '--aptopt=Acquire::Languages "none"',
            *(f"--aptopt={option}" for option in self.options),
            *(f"--dpkgopt=path-exclude=/{path}/*" for path in _EXCLUDED),
            f"--customize-hook={hook}",
            self.suite,
            target,
            *self.sources,
        ]


def _write_line(path: str, text: str) -> str:
    folder = path.rpartition("/")[0]
    body = text.replace("\n", "\\n")
    return f'mkdir -p "$root/{folder}"; printf \'{body}\' > "$root/{path}"'


def debian_sources(files: Mapping[str, str], suite: str) -> tuple[str, ...]:
    """Pick the sources of one release from a machine's apt configuration, in one-line format.

    Sources of other releases and of third parties are left out: a source belongs to the release if its suite is
    the release's name, or begins with it and a dash (updates, security), and it has the component `main`.

    Args:
        files: path -> text of sources.list and sources.list.d/*.
        suite: the release, e.g. `bookworm`.

    Returns:
        Lines such as `deb [signed-by=…] URL bookworm main`, without duplicates, in the files' order.
    """
    found: dict[str, None] = {}
    for path, text in files.items():
        entries = _deb822(text) if path.endswith(".sources") else _one_line(text)
        for options, uri, name, components in entries:
            if (name == suite or name.startswith(f"{suite}-")) and "main" in components:
                found[" ".join(word for word in ("deb", options, uri, name, *components) if word)] = None
    return tuple(found)


_Entry = tuple[str, str, str, tuple[str, ...]]


def _one_line(text: str) -> Iterable[_Entry]:
    for line in text.splitlines():
        match = re.match(r"\s*deb\s+(\[[^\]]*\])?\s*(\S+)\s+(\S+)\s+([^#]+)", line)
        if match:
            options, uri, suite, components = match.groups()
            yield options or "", uri, suite, tuple(components.split())


def _deb822(text: str) -> Iterable[_Entry]:
    text = re.sub(r"(?m)^#.*\n?", "", text)
    for stanza in re.split(r"\n\s*\n", text):
        fields = {
            name.lower(): value.strip()
            for name, value in re.findall(r"(?m)^([A-Za-z0-9-]+):((?:.*\n?)(?:[ \t].*\n?)*)", stanza)
        }
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        signed = fields.get("signed-by", "")
        options = f"[signed-by={signed}]" if signed.startswith("/") else ""
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield options, uri, suite, tuple(fields.get("components", "").split())


def apt_options(dump: str) -> tuple[str, ...]:
    """Pick from `apt-config dump` what fetching needs: proxies, and how dates of the archive are checked."""
    wanted = re.compile(r"Acquire::(?:(?:https?|ftp)::Proxy\S*|Check-Valid-Until|Check-Date|Retries) \"[^\"]*\"")
    return tuple(match.group() for line in dump.splitlines() if (match := wanted.match(line)))
