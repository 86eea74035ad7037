"""What ssh_config(5) says about a host, and the endpoint that comes of it and of the inventory.

Does: HostName, User, Port, IdentityFile, IdentitiesOnly, ProxyJump, UserKnownHostsFile, HostKeyAlias, Host, Match,
Include; each file parsed once. The inventory wins over ssh_config, as with Ansible. Does not: ProxyCommand (refused
with the reason), GSSAPI, forwarding. StrictHostKeyChecking is not read: it is always strict.
"""

from __future__ import annotations

import getpass
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from kubeforge.errors import ConnectionFailed, InputError, Problem
from kubeforge.transport.ssh_import import with_invoke

if TYPE_CHECKING:
    from paramiko import SSHConfig

    from kubeforge.inventory.model import Connection

__all__ = ["Endpoint", "Hop", "SshConfig", "SshSettings", "parse_jumps", "resolve"]

SYSTEM_CONFIG = Path("/etc/ssh/ssh_config")
SYSTEM_KNOWN_HOSTS = (Path("/etc/ssh/ssh_known_hosts"), Path("/etc/ssh/ssh_known_hosts2"))
_DEFAULT_KEYS = ("id_ed25519", "id_ecdsa", "id_rsa")
_INCLUDE_DEPTH = 16
_READ = re.compile(
    r"^\s*(hostname|user|port|identityfile|identitiesonly|proxyjump|proxycommand|userknownhostsfile|hostkeyalias)\b",
    re.IGNORECASE | re.MULTILINE,
)
_BLOCK = re.compile(r"\s*(host|match)\b", re.IGNORECASE)
_MATCH_EXEC = re.compile(r"^\s*match\b.*\bexec\b", re.IGNORECASE | re.MULTILINE)
_INCLUDE = re.compile(r"\s*include\s*[=\s]\s*(.+)", re.IGNORECASE)
_HOP = re.compile(r"(?:ssh://)?(?:(?P<user>[^@]+)@)?(?P<host>\[[^\]]+\]|[^:@\s]+)(?::(?P<port>\d+))?/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class SshSettings:
    """The settings of one host, None or empty where ssh_config says nothing."""

    hostname: str
    user: str | None = None
    port: int | None = None
    identity_files: tuple[Path, ...] = ()
    identities_only: bool = False
    proxy_jump: str | None = None
    proxy_command: str | None = None
    known_hosts: tuple[Path, ...] = ()
    host_key_alias: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hop:
    """One host of a ProxyJump chain: `[user@]host[:port]`."""

    address: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        return f"{user}{self.address}" + (f":{self.port}" if self.port else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Everything that is needed to enter one host; nothing is left to look up.

    Args:
        name: inventory name, or the jump host as it was written.
        address: to connect to.
        port: TCP port.
        user: to log in as.
        key_file: named by the inventory, offered first.
        identity_files: from ssh_config, else the usual ones; those that do not exist are passed over.
        identities_only: the agent offers nothing else than these files' keys.
        known_hosts: files, the first one is where a new key should be added.
        host_key_alias: the name to look up in them, instead of the address.
        jumps: through these, in order.
        timeout: seconds for each of: TCP, banner, key exchange, authentication.
    """

    name: str
    address: str
    port: int
    user: str
    key_file: Path | None = None
    identity_files: tuple[Path, ...] = ()
    identities_only: bool = False
    known_hosts: tuple[Path, ...] = ()
    host_key_alias: str | None = None
    jumps: tuple[Hop, ...] = ()
    timeout: float = 10.0


class SshConfig:
    """ssh_config files, read at the first look-up; those that do not exist cost nothing. Safe for threads.

    Args:
        home: the user's home directory; its `.ssh/config` is read first.
        system: the system's file.
    """

    def __init__(self, home: Path, system: Path = SYSTEM_CONFIG) -> None:
        self.problems: list[Problem] = []
        self._home = home
        self._system = system
        self._parsed: SSHConfig | None = None
        self._read = False
        self._lock = Lock()

    def lookup(self, name: str) -> SshSettings:
        """Return what the files say about `name`, the word that would follow `ssh`.

        Raises:
            InputError: a file cannot be read or parsed.
        """
        with self._lock:
            if not self._read:
                self._parsed = self._load()
                self._read = True
            options = self._parsed.lookup(name) if self._parsed else {}
        return self._settings(name, options)

    def _settings(self, name: str, options: Mapping[str, str | list[str]]) -> SshSettings:
        files = options.get("identityfile") or []
        known = str(options.get("userknownhostsfile") or "")
        port = str(options.get("port") or "")
        return SshSettings(
            hostname=str(options.get("hostname") or name),
            user=_text(options.get("user")),
            port=int(port) if port.isdigit() else None,
            identity_files=tuple(self._path(file, name) for file in files if file.lower() != "none"),
            identities_only=options.get("identitiesonly") == "yes",
            proxy_jump=str(options["proxyjump"]) if options.get("proxyjump") else None,
            proxy_command=_text(options.get("proxycommand")),
            known_hosts=tuple(self._path(word, name) for word in known.split() if word.lower() != "none"),
            host_key_alias=_text(options.get("hostkeyalias")),
        )

    def _load(self) -> SSHConfig | None:
        files = [file for file in (self._home / ".ssh" / "config", self._system) if file.is_file()]
        texts = [(file, "\n".join(self._expanded(file, 0))) for file in files]
        if not any(_meaningful(text) for _, text in texts):
            return None
        from paramiko import ConfigParseError, SSHConfig  # noqa: PLC0415 - 0.1 s, and only where a file says something

        if any(_MATCH_EXEC.search(text) for _, text in texts):
            with_invoke()
        config = SSHConfig()
        for file, text in texts:
            try:
                config.parse(StringIO(text))
            except ConfigParseError as error:
                raise InputError([Problem(message=str(error), file=str(file))]) from error
        return config

    def _expanded(self, file: Path, depth: int) -> Iterator[str]:
        """Yield the lines of `file` with the files it includes put in; paramiko passes over Include."""
        try:
            lines = file.read_text(errors="replace").splitlines()
        except OSError as error:
            raise InputError([Problem(message=f"cannot be read: {error.strerror}", file=str(file))]) from error
        block = "Host *"
        for number, line in enumerate(lines, 1):
            include = _INCLUDE.match(line)
            if include is None:
                block = line if _BLOCK.match(line) else block
                yield line
                continue
            for found in self._included(include[1], file):
                yield from self._include(found, depth, block, Problem(message="", file=str(file), line=number))
            yield block  # the included file's last Host must not swallow what follows

    def _include(self, found: Path, depth: int, block: str, at: Problem) -> Iterator[str]:
        lines = list(self._expanded(found, depth + 1)) if depth < _INCLUDE_DEPTH else []
        if block != "Host *" and any(_BLOCK.match(line) for line in lines):
            message = f"Include of {found} inside a Host block is left out: it has Host blocks of its own"
            self.problems.append(Problem(message=message, file=at.file, line=at.line, warning=True))
        else:
            yield from lines

    def _included(self, words: str, file: Path) -> Iterator[Path]:
        base = self._system.parent if file == self._system else self._home / ".ssh"
        for word in words.split():
            pattern = self._path(word.strip('"'), "")
            root, relative = (Path("/"), str(pattern)[1:]) if pattern.is_absolute() else (base, str(pattern))
            yield from sorted(path for path in root.glob(relative) if path.is_file())

    def _path(self, word: str, name: str) -> Path:
        text = word.replace("%d", str(self._home)).replace("%h", name)
        return self._home / text[2:] if text.startswith("~/") else Path(text)


def parse_jumps(text: str, *, host: str) -> tuple[Hop, ...]:
    """Return the hops of `[user@]host[:port],…`; `none` is no hop.

    Raises:
        ConnectionFailed: it cannot be read.
    """
    if text.strip().lower() == "none":
        return ()
    hops = []
    for word in text.split(","):
        match = _HOP.fullmatch(word.strip())
        if match is None:
            raise ConnectionFailed(
                f"ProxyJump {text!r} cannot be read",
                host=host,
                step="connect",
                remedy="write it as user@host:port, several with commas, in the inventory or in ssh_config",
            )
        port = int(match["port"]) if match["port"] else None
        hops.append(Hop(address=match["host"].strip("[]"), user=match["user"], port=port))
    return tuple(hops)


def resolve(name: str, connection: Connection, config: SshConfig, home: Path) -> Endpoint:
    """Return the endpoint of `connection`: what the inventory says, else ssh_config, else the default.

    Args:
        name: inventory name.
        connection: from the inventory.
        config: ssh_config.
        home: the user's home directory.

    Raises:
        ConnectionFailed: a setting cannot be served.
        InputError: ssh_config cannot be parsed.
    """
    said = config.lookup(connection.address)
    jump = connection.proxy_jump if connection.proxy_jump is not None else said.proxy_jump
    if said.proxy_command and jump is None:
        raise ConnectionFailed(
            "ssh_config gives it a ProxyCommand, which kubeforge does not run",
            host=name,
            step="connect",
            remedy="use ProxyJump in ssh_config, or -J in ansible_ssh_common_args",
        )
    user_files = connection.known_hosts or said.known_hosts or _user_known_hosts(home)
    return Endpoint(
        name=name,
        address=said.hostname,
        port=connection.port or said.port or 22,
        user=connection.user or said.user or getpass.getuser(),
        key_file=connection.key_file,
        identity_files=said.identity_files or tuple(home / ".ssh" / key for key in _DEFAULT_KEYS),
        identities_only=said.identities_only,
        known_hosts=(*user_files, *SYSTEM_KNOWN_HOSTS),
        host_key_alias=said.host_key_alias,
        jumps=parse_jumps(jump, host=name) if jump else (),
        timeout=connection.connect_timeout,
    )


def _user_known_hosts(home: Path) -> tuple[Path, ...]:
    return (home / ".ssh" / "known_hosts", home / ".ssh" / "known_hosts2")


def _text(value: object) -> str | None:
    return None if value is None or str(value).lower() == "none" else str(value)


def _meaningful(text: str) -> bool:
    """Return whether anything that is read here is set; Debian's shipped file sets nothing of it."""
    return _READ.search(text) is not None
