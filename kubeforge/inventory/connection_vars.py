"""Ansible's connection variables, read into a `Connection`. Collects every problem; looks nothing up on disk."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeVar

from kubeforge.errors import InputError, Problem
from kubeforge.inventory.draft import suggestion
from kubeforge.inventory.model import Connection
from kubeforge.inventory.rendering import SECRET_NAMES, HostVars
from kubeforge.secret import Secret

__all__ = ["read_connection"]

T = TypeVar("T")

_KINDS: Final = {
    "ssh": "ssh",
    "smart": "ssh",
    "paramiko": "ssh",
    "paramiko_ssh": "ssh",
    "ansible.builtin.ssh": "ssh",
    "ansible.builtin.paramiko_ssh": "ssh",
    "local": "local",
    "ansible.builtin.local": "local",
}
_UNSERVED_KINDS: Final = frozenset({
    "aws_ssm", "buildah", "chroot", "docker", "docker_api", "httpapi", "incus", "jail", "kubectl", "libvirt_lxc", "lxc",
    "lxd", "netconf", "network_cli", "nsenter", "oc", "podman", "podman_unshare", "psrp", "qubes", "winrm", "zone",
})  # fmt: skip
"""Ansible's other ways to hosts; an inventory may hold such hosts, and a run that needs one fails there."""
_TRUE: Final = frozenset({"y", "yes", "on", "1", "true", "t"})
_FALSE: Final = frozenset({"n", "no", "off", "0", "false", "f", ""})

_KIND: Final = ("ansible_connection",)
_ADDRESS: Final = ("ansible_host", "ansible_ssh_host")
_PORT: Final = ("ansible_port", "ansible_ssh_port")
_USER: Final = ("ansible_user", "ansible_ssh_user")
_PASSWORD: Final = ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password")
_KEY_FILE: Final = ("ansible_ssh_private_key_file", "ansible_private_key_file")
_ARGUMENTS: Final = ("ansible_ssh_common_args", "ansible_ssh_extra_args", "ansible_ssh_args")
_BECOME: Final = ("ansible_become", "ansible_sudo")
_BECOME_METHOD: Final = ("ansible_become_method",)
_BECOME_USER: Final = ("ansible_become_user", "ansible_sudo_user")
_BECOME_PASSWORD: Final = ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass")
_TIMEOUT: Final = ("ansible_timeout", "ansible_ssh_timeout")

# Ansible's other variables, so that a mistyped one is told from one that is only not used here.
_OTHERS: Final = (
    "ansible_become_exe",
    "ansible_become_flags",
    "ansible_config_file",
    "ansible_group_priority",
    "ansible_network_os",
    "ansible_pipelining",
    "ansible_python_interpreter",
    "ansible_remote_tmp",
    "ansible_scp_extra_args",
    "ansible_sftp_extra_args",
    "ansible_shell_executable",
    "ansible_shell_type",
    "ansible_ssh_executable",
    "ansible_ssh_host_key_checking",
    "ansible_host_key_checking",
    "ansible_ssh_pipelining",
    "ansible_ssh_retries",
    "ansible_ssh_transfer_method",
    "ansible_facts",
    "ansible_hostname",
    "ansible_user_id",
    "ansible_distribution",
)
_KNOWN: Final = frozenset((
    *_KIND, *_ADDRESS, *_PORT, *_USER, *_PASSWORD, *_KEY_FILE, *_ARGUMENTS, *_BECOME, *_BECOME_METHOD, *_BECOME_USER,
    *_BECOME_PASSWORD, *_TIMEOUT, *_OTHERS,
))  # fmt: skip
_UNSERVED: Final = frozenset({"proxycommand", "certificatefile", "bindaddress", "bindinterface", "hostname"})
_CHECKING: Final = ("ansible_host_key_checking", "ansible_ssh_host_key_checking")
_PASSED_OVER: Final = (
    "ansible_become_exe",
    "ansible_become_flags",
    "ansible_shell_executable",
    "ansible_ssh_executable",
    "ansible_ssh_retries",
)
"""Variables of Ansible's that would change how a host is reached there, and do nothing here."""
# ssh's options that change nothing a run could tell: everything else that is not served is warned of
_HARMLESS: Final = frozenset({
    "addkeystoagent", "batchmode", "checkhostip", "compression", "connectionattempts", "controlmaster", "controlpath",
    "controlpersist", "escapechar", "forwardagent", "forwardx11", "forwardx11trusted", "gssapiauthentication",
    "gssapidelegatecredentials", "hashknownhosts", "loglevel", "numberofpasswordprompts", "passwordauthentication",
    "preferredauthentications", "requesttty", "sendenv", "serveralivecountmax", "serveraliveinterval", "tcpkeepalive",
    "updatehostkeys", "verifyhostkeydns", "visualhostkey",
})  # fmt: skip
_ELSEWHERE: Final = {
    "connecttimeout": "; set ansible_timeout",
    "hostkeyalias": "; set it in ~/.ssh/config",
    "identitiesonly": "; set it in ~/.ssh/config",
}
_HIDDEN: Final = "its value, which is secret, cannot be used here"
_STRICT: Final = "a host's key is always checked, so this has no effect: the key must be in known_hosts"


@dataclass(slots=True)
class _SshArguments:
    """What matters of `ansible_ssh_common_args`."""

    proxy_jump: str | None = None
    known_hosts: tuple[Path, ...] = ()
    key_file: Path | None = None
    port: int | None = None
    user: str | None = None


def read_connection(name: str, variables: HostVars, base: Path, problems: list[Problem]) -> Connection:
    """Return how a host is reached.

    Args:
        name: inventory name, its address where no other is given.
        variables: the host's.
        base: what relative paths start from: the inventory's folder.
        problems: what is wrong is added here.
    """
    reader = _Reader(variables, base, problems)
    reader.find_misspelled()
    reader.find_passed_over()
    arguments = reader.ssh_arguments()
    kind = reader.value(_KIND, _kind) or "ssh"
    if kind in _KINDS.values():
        reader.value(_BECOME_METHOD, _method)
    else:
        reader.complain(_set(variables, _KIND), _unserved(kind), warning=True)
    return Connection(
        kind=kind,
        address=reader.value(_ADDRESS, _text) or name,
        port=reader.value(_PORT, _port) or arguments.port,
        user=reader.value(_USER, _text) or arguments.user,
        password=reader.value(_PASSWORD, _secret),
        key_file=reader.value(_KEY_FILE, reader.path) or arguments.key_file,
        known_hosts=arguments.known_hosts,
        proxy_jump=arguments.proxy_jump,
        become=bool(reader.value(_BECOME, _truth)),
        become_user=reader.value(_BECOME_USER, _text) or "root",
        become_password=reader.value(_BECOME_PASSWORD, _secret),
        connect_timeout=reader.value(_TIMEOUT, _seconds) or 10.0,
    )


@dataclass(slots=True)
class _Reader:
    variables: HostVars
    base: Path
    problems: list[Problem]
    _arguments: _SshArguments = field(default_factory=_SshArguments)

    def value(self, names: tuple[str, ...], convert: Callable[[Any], T]) -> T | None:
        """Return the first of `names` that is set, converted; None where none is, or it is wrong."""
        name = _set(self.variables, names)
        if name not in self.variables:
            return None
        secret = name in SECRET_NAMES
        try:
            value, secret = self.variables.clear(name)
            return None if value is None else convert(value)
        except InputError as error:
            self.problems.extend(error.problems)
        except ValueError as error:
            hidden = secret and convert is not _secret  # that one quotes nothing
            self.complain(name, _HIDDEN if hidden else str(error))
        return None

    def complain(self, name: str, message: str, *, warning: bool = False) -> None:
        """Add a problem of the variable `name`; of one that holds a secret the message may quote it, so it goes."""
        written = self.variables.place(name)
        if name in _ARGUMENTS and self.variables.clear(name)[1]:
            message = _HIDDEN
        problem = Problem(message=message, file=written.file, line=written.line, field=name, warning=warning)
        self.problems.append(problem)

    def find_misspelled(self) -> None:
        """`ansible_hots` would be passed over in silence, and another host be entered."""
        for name in self.variables:
            if name.startswith("ans") and name not in _KNOWN and (hint := _misspelled(name)):
                self.complain(name, f"{name} is not a variable of Ansible's{hint}")

    def find_passed_over(self) -> None:
        """Warn of what has an effect in Ansible and none here."""
        for name in _PASSED_OVER:
            if name in self.variables:
                self.complain(name, "has no effect here", warning=True)
        for name in _CHECKING:
            if self.value((name,), _truth) is False:
                self.complain(name, _STRICT, warning=True)

    def path(self, value: Any) -> Path:
        """Return a path: `~` expanded, relative to the inventory."""
        return self.base / Path(_text(value)).expanduser()

    def ssh_arguments(self) -> _SshArguments:
        """Read ssh's arguments; those that change nothing here (multiplexing, verbosity) are passed over."""
        for name in _ARGUMENTS:
            words = self.value((name,), lambda value: shlex.split(_text(value)))
            self._read_words(name, words or [])
        return self._arguments

    def _read_words(self, name: str, words: list[str]) -> None:
        rest = iter(words)
        for word in rest:
            flag = word[:2]
            if flag not in ("-J", "-o", "-i", "-p", "-l", "-F"):
                continue
            value = word[2:] or next(rest, "")
            try:
                self._argument(name, flag, value)
            except ValueError as error:
                self.complain(name, str(error))

    def _argument(self, name: str, flag: str, value: str) -> None:
        found = self._arguments
        if flag == "-o":
            key, separator, text = value.partition("=")
            if not separator:
                key, _, text = value.partition(" ")
            self._option(name, key.strip(), text.strip().strip('"'))
        elif flag == "-J":
            found.proxy_jump = found.proxy_jump or value
        elif flag == "-i":
            found.key_file = found.key_file or self.path(value)
        elif flag == "-p":
            found.port = found.port or _port(value)
        elif flag == "-l":
            found.user = found.user or value
        else:
            raise ValueError("-F is not read: ~/.ssh/config and /etc/ssh/ssh_config are")

    def _option(self, name: str, option: str, value: str) -> None:
        found, key = self._arguments, option.lower()
        if key == "proxyjump":
            found.proxy_jump = found.proxy_jump or value
        elif key == "userknownhostsfile":
            found.known_hosts = found.known_hosts or tuple(map(self.path, value.split()))
        elif key == "identityfile":
            found.key_file = found.key_file or self.path(value)
        elif key == "proxycommand" and (jump := _jump_of(value)):
            found.proxy_jump = found.proxy_jump or jump
        elif key in _UNSERVED:
            hint = "; use -J [user@]host[:port]" if key == "proxycommand" else ""
            raise ValueError(f"the ssh option {key} is not served{hint}")
        elif key == "port":
            found.port = found.port or _port(value)
        elif key == "user":
            found.user = found.user or value
        elif key == "stricthostkeychecking":
            if value.lower() not in ("yes", "ask"):
                self.complain(name, f"{option}={value}: {_STRICT}", warning=True)
        elif key not in _HARMLESS:
            hint = _ELSEWHERE.get(key, "")
            self.complain(name, f"the ssh option {option} has no effect here{hint}", warning=True)


def _jump_of(command: str) -> str | None:
    """Return the jump host of the classic `ssh -W %h:%p [-q] [-p PORT] [-l USER] HOST`; None for any other command."""
    words = shlex.split(command)
    if not words or words.pop(0) != "ssh":
        return None
    port = user = host = None
    forwards = False
    rest = iter(words)
    for word in rest:
        if word == "-W":
            forwards = next(rest, "") in ("%h:%p", "[%h]:%p")
        elif word == "-p":
            port = next(rest, None)
        elif word == "-l":
            user = next(rest, None)
        elif word != "-q" and (word.startswith("-") or host):
            return None
        elif word != "-q":
            host = word
    if not (forwards and host):
        return None
    return (f"{user}@" if user else "") + host + (f":{port}" if port else "")


def _set(variables: HostVars, names: tuple[str, ...]) -> str:
    """Return the first of `names` that is set; the first of all where none is."""
    return next((name for name in names if name in variables), names[0])


@lru_cache(maxsize=1024)
def _misspelled(name: str) -> str:
    return suggestion(name, _KNOWN, cutoff=0.87)


def _kind(value: Any) -> str:
    kind = str(value)
    if kind.rpartition(".")[2] in _UNSERVED_KINDS:
        return kind
    if kind not in _KINDS:
        raise ValueError(f"{value!r} is not served, only ssh and local are{suggestion(kind, ('ssh', 'local'))}")
    return _KINDS[kind]


def _unserved(kind: str) -> str:
    return f"{kind!r} is not served, only ssh and local are: a run that needs this host will fail"


def _method(value: Any) -> str:
    if value not in ("sudo", "ansible.builtin.sudo"):
        raise ValueError(f"{value!r} is not served, only sudo is")
    return "sudo"


def _text(value: Any) -> str:
    if isinstance(value, bool | dict | list) or not str(value).strip():
        raise ValueError(f"expected text, found {value!r}")
    return str(value).strip()


def _secret(value: Any) -> Secret:
    secret = value if isinstance(value, Secret) else Secret(str(value))
    if b"\n" in secret.reveal():
        raise ValueError("a password of more than one line")
    return secret


def _truth(value: Any) -> bool:
    word = str(value).strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"expected true or false, found {value!r}")
    return word in _TRUE


def _port(value: Any) -> int:
    number = int(str(value)) if str(value).isdigit() and not isinstance(value, bool) else 0
    if not 0 < number < 65536:
        raise ValueError(f"expected a port (1 to 65535), found {value!r}")
    return number


def _seconds(value: Any) -> float:
    try:
        number = float(str(value))
    except ValueError:
        number = 0.0
    if not 0 < number < 86400:
        raise ValueError(f"expected seconds, found {value!r}")
    return number
