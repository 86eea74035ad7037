"""The packages of a Debian host, brought up to what its sources offer; what an interrupted dpkg left, to its end.

What is due is asked of apt itself, with package lists fetched into a folder of their own: a look changes nothing that
apt or anybody else uses. Packages of Kubernetes and of the container runtime are not touched: a pin for this one call
keeps them, and leaves no mark on the host. Source: apt-get(8), apt_preferences(5), dpkg(1).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar, Final

from kubeforge.operations.model import Change, Observation, Operation, Queries, Verb
from kubeforge.operations.shell import quote

__all__ = ["HELD", "Look", "SystemUpgrade", "Upgrade", "busy_script", "look_of", "look_script", "reboot_script"]

HELD: Final = (
    *("kubelet", "kubeadm", "kubectl", "kubernetes-cni", "cri-tools", "containerd", "containerd.io", "runc"),
    *("cri-o", "docker-ce", "docker.io", "etcd-server", "etcd-client"),
)
"""Packages that other verbs look after: cluster.yml says their versions, and they change behind gates."""

_PREFERENCES: Final = "/etc/apt/preferences"
_FETCH: Final = 90  # seconds; the whole look has to end within an observation's 120
_APT: Final = (
    "apt-get -q -y -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"
)
_QUIET: Final = "export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 LC_ALL=C"
# Error-Mode: a source that cannot be fetched is an error, not a warning beside old lists.
_UPDATE: Final = "apt-get -q -o DPkg::Lock::Timeout=300 -o APT::Update::Error-Mode=any update"

# Who installs packages holds these; apt waits for the first by itself, for the second it does not.
_BUSY: Final = r"""
busy=
for lock in /var/lib/dpkg/lock-frontend /var/lib/apt/lists/lock; do
    number=$(stat -c %i "$lock" 2>/dev/null) && grep -q ":$number " /proc/locks && busy=busy
done
[ -z "$busy" ] || echo busy
"""
# A dpkg that runs leaves packages half installed just as one that was interrupted.
_LOOK: Final = r"""
export LC_ALL=C DEBIAN_FRONTEND=noninteractive
command -v apt-get >/dev/null || { echo no-apt; exit 0; }
@BUSY@
if [ -n "$busy" ]; then :
elif [ -n "$(ls /var/lib/dpkg/updates 2>/dev/null)" ] || [ -n "$(dpkg --audit)" ]; then
    echo broken
    dpkg-query -W -f '${db:Status-Abbrev}|${Package}\n' | sed -n '/^.[^nci]/s/^.*|/half /p'
fi
own=$(mktemp -d /var/tmp/kubeforge-apt.XXXXXX) || { echo 'error no room in /var/tmp'; exit 0; }
trap 'rm -rf "$own"' EXIT
chmod 0755 "$own"
mkdir -p "$own/lists/partial"
cp -a /var/lib/apt/lists/. "$own/lists/" 2>/dev/null
{ cat @PREFERENCES@ 2>/dev/null; printf '\n%s\n' @PINS@; } >"$own/preferences"
set -- -o Dir::State::lists="$own/lists" -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= \
    -o Dir::Etc::Preferences="$own/preferences"
timeout @FETCH@ apt-get -q "$@" -o APT::Update::Error-Mode=any update >"$own/said" 2>&1 ||
    { status=$?; sed -n 's/^E: /error /p' "$own/said"; echo "error apt-get update ended with status $status"; }
apt-get -q -s "$@" upgrade --with-new-pkgs 2>&1 | sed -n '/^Inst /p; s/^E: /refused /p'
"""
_REBOOT: Final = r"""
[ ! -e /var/run/reboot-required ] || echo reboot-required
sed 's/^/reboot-for /' /var/run/reboot-required.pkgs 2>/dev/null
echo "kernel $(uname -r)"
for file in /boot/vmlinuz-*; do [ ! -e "$file" ] || echo "installed ${file#/boot/vmlinuz-}"; done
"""
_INST: Final = re.compile(r"^Inst (\S+)(?: \[(\S+)\])? \((\S+)")
_KERNEL: Final = re.compile(r"([\d.]+(?:[+~]\w+)*(?:-\d[\w.+~]*)*)(?:-([A-Za-z].*))?")  # version, flavour


@dataclass(frozen=True, slots=True)
class Upgrade:
    """One package that would be installed.

    Args:
        name: of the package.
        before: its version now; empty: it is not installed, another one needs it.
        after: the version it gets.
    """

    name: str
    before: str
    after: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a host says about its packages and its kernel.

    Args:
        apt: whether it has apt.
        busy: whether somebody installs packages just now.
        broken: whether a dpkg was interrupted.
        half: packages that it left half installed.
        errors: what could not be fetched.
        refused: why apt would not upgrade.
        upgrades: what it would.
        reboot: why the host wants to be rebooted; empty: it does not.
    """

    apt: bool = True
    busy: bool = False
    broken: bool = False
    half: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    upgrades: tuple[Upgrade, ...] = ()
    reboot: str = ""

    @property
    def stale(self) -> bool:
        """Whether its packages are to be worked on."""
        return self.broken or bool(self.upgrades)


def reboot_script() -> str:
    """Return the read-only script that asks whether the host wants to be rebooted; `look_of` reads its answer."""
    return _REBOOT


def busy_script() -> str:
    """Return the read-only script that asks whether somebody installs packages just now; for `look_of`, too."""
    return _BUSY


def look_script(held: tuple[str, ...] = HELD) -> str:
    """Return the script that asks what is due; it leaves the host as it was. `look_of` reads its answer.

    Args:
        held: packages that stay at their version.
    """
    values = {
        "@BUSY@": _BUSY.strip(),
        "@PREFERENCES@": _PREFERENCES,
        "@PINS@": quote(_pins(held)),
        "@FETCH@": str(_FETCH),
    }
    script = _LOOK
    for name, value in values.items():
        script = script.replace(name, value)
    return f"{_REBOOT.strip()}\n{script.strip()}"


def _pins(held: tuple[str, ...]) -> str:
    return f"Package: {' '.join(held)}\nPin: release *\nPin-Priority: -1"


def look_of(text: str) -> Look:
    """Return what a look told."""
    told: dict[str, list[str]] = {}
    upgrades = []
    for line in text.splitlines():
        found = _INST.match(line)
        if found:
            upgrades.append(Upgrade(found[1], found[2] or "", found[3]))
        else:
            word, _, rest = line.partition(" ")
            told.setdefault(word, []).append(rest)
    return Look(
        apt="no-apt" not in told,
        busy="busy" in told,
        broken="broken" in told,
        half=tuple(told.get("half", ())),
        errors=tuple(told.get("error", ())),
        refused=() if "broken" in told else tuple(told.get("refused", ())),
        upgrades=tuple(upgrades),
        reboot=_reboot(told),
    )


def _reboot(told: dict[str, list[str]]) -> str:
    if "reboot-required" in told:
        packages = ", ".join(dict.fromkeys(told.get("reboot-for", ())))
        return f"its packages ask for it: {packages}" if packages else "its packages ask for it"
    running = told.get("kernel", [""])[0]
    installed = told.get("installed", [])
    newer = [one for one in installed if _flavour(one) == _flavour(running) and _age(one) > _age(running)]
    if running not in installed or not newer:
        return ""  # a container, or a kernel that does not come as a package
    return f"it runs kernel {running}, and {max(newer, key=_age)} is installed"


def _age(kernel: str) -> tuple[int, ...]:
    """Return what sorts kernels of one flavour by their age: `6.1.0-31-amd64` comes after `6.1.0-30-amd64`."""
    found = _KERNEL.fullmatch(kernel)
    return tuple(map(int, re.findall(r"\d+", found[1]))) if found else ()


def _flavour(kernel: str) -> str:
    found = _KERNEL.fullmatch(kernel)
    return found[2] or "" if found else kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemUpgrade(Operation):
    """Every package of the host is what its sources offer, but for those that other verbs look after.

    New packages come where an upgrade needs them (a kernel is one), none is removed, files that a person has changed
    stay. It runs as every change does: when the connection goes, it goes on to its end on the host.

    Args:
        held: packages that stay at their version.
        deadline: seconds.
    """

    kind: ClassVar[str] = "system upgrade"
    open_ended: ClassVar[bool] = True

    held: tuple[str, ...] = HELD
    deadline: float = 1800.0

    @property
    def title(self) -> str:
        """There is one on a host."""
        return "packages"

    def observe(self) -> Queries:
        """Ask apt what it would do."""
        return Queries(outputs=(look_script(self.held),), reads=(_PREFERENCES,))

    def decide(self, seen: Observation) -> Change | None:
        """Mend what was interrupted, then upgrade."""
        look = look_of(seen.outputs[look_script(self.held)])
        if not look.stale:
            return None
        mend = ("dpkg --force-confdef --force-confold --configure -a", f"{_APT} --fix-broken install")
        preferences = seen.contents.get(_PREFERENCES, b"")
        return Change(
            title=self.title,
            verb=Verb.UPDATE,
            why="an interrupted installation" if look.broken else f"{len(look.upgrades)} are not up to date",
            payload=preferences + f"\n{_pins(self.held)}\n".encode(),
            payload_mode=0o644,
            lines=(
                _QUIET,
                *(mend if look.broken else ()),
                _UPDATE,
                f'{_APT} -o Dir::Etc::Preferences="$P" upgrade --with-new-pkgs',
            ),
            deadline=self.deadline,
        )
