"""Packages of the distribution, and where they come from."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from kubeforge.engine.model import Context
from kubeforge.errors import InputError, Problem
from kubeforge.operations import Absent, Command, Directory, File, Package, Packages
from kubeforge.operations.distributions import Family
from kubeforge.operations.model import Content, Operation
from kubeforge.operations.notified import followed
from kubeforge.tasks.generic.subjects import family, file_beside, local_content, needed
from kubeforge.tasks.registry import task

__all__ = ["apt_repository", "package_absent", "present", "rpm_repository", "upgraded"]

# Where the sources do not answer or another zypper works, the upgrade itself then tells.
_ZYPPER_NONE_DUE: Final = "due=$(zypper --quiet --non-interactive list-updates) && ! echo \"$due\" | grep -q '^v '"
_ZYPPER_GOOD: Final = (0, 102)  # zypper(8): installed, and a reboot is needed
_KEYRINGS: Final = "/etc/apt/keyrings"
_UPDATE: Final = ("apt-get", "-q", "-o", "DPkg::Lock::Timeout=120", "update")
_STRICT: Final = "-o APT::Update::Error-Mode=any"  # a source that does not answer is an error, not a warning
_APT_UPGRADE: Final = (
    f"{' '.join(_UPDATE)} {_STRICT}; "
    "exec apt-get -q -y -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold upgrade"
)
# Lists of its own, so that looking changes nothing. Where the sources do not answer, the upgrade itself then tells.
_APT_NONE_DUE: Final = f"""
own=$(mktemp -d /var/tmp/kubeforge-apt.XXXXXX) || exit 1
trap 'rm -rf "$own"' EXIT
chmod 0755 "$own"
mkdir -p "$own/lists/partial"
cp -a /var/lib/apt/lists/. "$own/lists/" 2>/dev/null
set -- -o Dir::State::lists="$own/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache=
timeout 90 apt-get -q "$@" {_STRICT} update >/dev/null 2>&1 || exit 1
! apt-get -q -s "$@" upgrade | grep -q '^Inst '
"""
_UPGRADE: Final[Mapping[Family, tuple[tuple[str, ...], str]]] = {
    # what upgrades, and what succeeds where there is nothing to upgrade
    "debian": (("sh", "-ec", _APT_UPGRADE), _APT_NONE_DUE),
    "rhel": (("dnf", "-y", "upgrade"), "dnf -q check-update"),
    "suse": (("zypper", "--non-interactive", "update"), _ZYPPER_NONE_DUE),
}
_LONG: Final = 3600.0
_NAME: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")  # sources.list(5): apt passes over others


@task("package.present", aka=("package", "apt", "dnf", "yum", "zypper"))
def present(context: Context, *, names: str | Sequence[str] | Mapping[Family, Sequence[str]]) -> Iterator[Operation]:
    """Packages of the host's distribution, installed by apt, dnf or zypper, all at once.

    Args:
        names: as the distribution calls them; where families call them differently, a list for each family.
    """
    wanted = tuple(_named(context, names))
    if len(wanted) > 1:
        yield Packages(names=wanted)
    else:
        yield from (Package(name=name) for name in wanted)


@task("package.absent")
def package_absent(
    context: Context, *, names: str | Sequence[str] | Mapping[Family, Sequence[str]]
) -> Iterator[Operation]:
    """Packages that are not installed; their configuration stays, as their manager keeps it.

    Args:
        names: as the distribution calls them; where families call them differently, a list for each family.
    """
    yield from (Package(name=name, state="absent") for name in _named(context, names))


def _named(context: Context, names: str | Sequence[str] | Mapping[Family, Sequence[str]]) -> Sequence[str]:
    """Return what is said for the host; it is asked what it is only where that makes a difference."""
    if isinstance(names, Mapping):
        return names.get(family(context), ())
    return [names] if isinstance(names, str) else names


@task("package.upgraded", aka=("upgrade", "dist-upgrade"))
def upgraded(context: Context) -> Iterator[Operation]:
    """Every package is as new as the sources say; files that were changed on the host stay as they are.

    The sources are asked anew at every plan and apply; a plan leaves the host's own lists as they are.
    """
    mine = family(context)
    argv, none_due = _UPGRADE[mine]
    quiet = {"DEBIAN_FRONTEND": "noninteractive", "NEEDRESTART_SUSPEND": "1"} if mine == "debian" else {}
    good = _ZYPPER_GOOD if mine == "suse" else (0,)
    unless = ("sh", "-c", none_due)
    yield Command(argv=argv, unless=unless, name="upgrade packages", env=quiet, ok=good, deadline=_LONG)


@task("repository.apt", aka=("apt_repository", "apt_key", "deb822_repository"))
def apt_repository(
    context: Context,
    *,
    name: str,
    uris: str | Sequence[str] = (),
    suites: str | Sequence[str] = (),
    components: str | Sequence[str] = ("main",),
    key: str | None = None,
    architectures: Sequence[str] = (),
    state: Literal["present", "absent"] = "present",
) -> Iterator[Operation]:
    """A source of packages for apt (deb822), with the key that signs it; the lists are fetched when it changed.

    Args:
        name: of its files: /etc/apt/sources.list.d/NAME.sources and /etc/apt/keyrings/NAME.asc.
        uris: where it is.
        suites: `bookworm`, or a path that ends in `/`; such a one has no components.
        components: of the suites.
        key: an ASCII-armored public key: a file beside the playbook, or the key itself.
        architectures: nothing said: those of the host.
        state: present or absent.
    """
    sources, keyring = f"/etc/apt/sources.list.d/{_plain(name)}.sources", f"{_KEYRINGS}/{_plain(name)}.asc"
    if state == "absent":
        files: list[Operation] = [Absent(path=sources, reveal=True), Absent(path=keyring)]
    else:
        needed(f"repository.apt {name}", uris=uris, suites=suites)
        flat = any(suite.endswith("/") for suite in _listed(suites))
        fields = {
            "Types": "deb",
            "URIs": " ".join(_listed(uris)),
            "Suites": " ".join(_listed(suites)),
            "Components": "" if flat else " ".join(_listed(components)),
            "Architectures": " ".join(architectures),
            "Signed-By": keyring if key else "",
        }
        text = "".join(f"{field}: {value}\n" for field, value in fields.items() if value)
        keys = [Directory(path=_KEYRINGS), File(path=keyring, content=_key(context, key))] if key else []
        yield from keys[:1]
        files = [*keys[1:], File(path=sources, content=f"# Written by kubeforge.\n{text}".encode())]
    yield from followed(files, Command(argv=_UPDATE, name="apt-get update", deadline=_LONG))


@task("repository.rpm", aka=("yum_repository", "zypper_repository", "rpm_key"))
def rpm_repository(
    context: Context,
    *,
    name: str,
    url: str = "",
    key: str | None = None,
    description: str = "",
    enabled: bool = True,
    state: Literal["present", "absent"] = "present",
) -> Iterator[Operation]:
    """A source of packages for dnf or zypper, with the key that signs them.

    Args:
        name: of its section and its file, NAME.repo.
        url: its baseurl.
        key: an ASCII-armored public key: a file beside the playbook, or the key itself. Without one nothing is checked.
        description: for people; nothing said: its name.
        enabled: whether packages come from it unasked.
        state: present or absent.
    """
    folder = "/etc/zypp/repos.d" if family(context) == "suse" else "/etc/yum.repos.d"
    file, keyring = f"{folder}/{_plain(name)}.repo", f"/etc/pki/rpm-gpg/RPM-GPG-KEY-{_plain(name)}"
    if state == "absent":
        yield Absent(path=file, reveal=True)
        yield Absent(path=keyring)
        return
    needed(f"repository.rpm {name}", url=url)
    rows = {
        "name": description or name,
        "baseurl": url,
        "enabled": int(enabled),
        "gpgcheck": int(key is not None),
        "gpgkey": f"file://{keyring}" if key else "",
    }
    text = "".join(f"{word}={value}\n" for word, value in rows.items() if value != "")
    if key:
        yield Directory(path="/etc/pki/rpm-gpg")
        imported = Command(argv=("rpm", "--import", keyring), name=f"import key {name}")
        yield from followed([File(path=keyring, content=_key(context, key))], imported)
    yield File(path=file, content=f"# Written by kubeforge.\n[{name}]\n{text}".encode())


def _key(context: Context, key: str) -> Content:
    if "BEGIN PGP PUBLIC KEY" in key:
        return f"{key.rstrip()}\n".encode()
    return local_content(file_beside(context, key))


def _listed(words: str | Sequence[str]) -> Sequence[str]:
    return words.split() if isinstance(words, str) else words


def _plain(name: str) -> str:
    """Return a name that can be a file's.

    Raises:
        InputError: it is none.
    """
    if not _NAME.fullmatch(name):
        raise InputError([Problem(message=f"{name!r} is no name of a file of sources: letters, digits, . _ -")])
    return name
