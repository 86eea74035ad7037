"""What a host is: one POSIX-sh script, and the pure parser of its answer.

The script needs sh, grep and coreutils (or busybox); `ip` and `ss` are used where they are. It starts six processes, as
the target's time is what limits large fleets; only on a host that kubeforge has never changed does it also look up
which process listens where (10 ms for 100 processes), for then it matters who holds a port. It reads only.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import ip_interface
from types import MappingProxyType

from kubeforge.engine.model import Facts
from kubeforge.engine.notes import working
from kubeforge.errors import HostBusy, ProtocolError
from kubeforge.operations.model import Observation, Queries
from kubeforge.spec.paths import BUSY_DEADLINE, GENERATIONS, LOCK, RUN_NOTE
from kubeforge.transport.base import Remote
from kubeforge.transport.protocol.note import interrupted_in

__all__ = ["SCRIPT", "gather", "parse"]

CPUS = "/sys/devices/system/cpu/online"
FILES = f"/etc/os-release /proc/meminfo /proc/swaps {CPUS} /sys/fs/selinux/enforce /proc/self/status"
DISKS = "/ /etc /var /var/lib /var/lib/kubelet /var/lib/containerd /var/lib/etcd /tmp /usr/local"
CA_DIRECTORIES = (
    "/etc/pki/ca-trust",
    "/etc/pki/tls/certs",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
)
CONNTRACK = "/proc/sys/net/netfilter/nf_conntrack_max"
SOCKETS = "/proc/net/tcp /proc/net/tcp6 /proc/net/udp /proc/net/udp6"
BEGIN = "kubeforge-facts-1"
END = "kubeforge-facts-end"
UNFINISHED = "\n@unfinished\n"  # the note of the last act has no end: it runs, or was cut off
_LOOK_EVERY = 5  # seconds between two looks at how far an act is that goes on without its controller
TICKS = 100  # per second: USER_HZ, the same on every architecture that Linux runs kubelets on
LISTENING = {"tcp": "0A", "udp": "07"}

# Braces: a script that was cut off does not parse, so half of it never runs. Opening a sysctl to append writes nothing;
# `test -w` says yes to root whatever the kernel says.
SCRIPT = f"""{{
LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin:$PATH; export LC_ALL PATH
read -r up rest </proc/uptime; read -r own </proc/$$/stat; set -- $own; read -r leader </proc/$6/stat
new=; [ -d {GENERATIONS} ] || new=p
set -- {GENERATIONS}/[1-9]*-*; [ -e "$1" ] || shift
echo {BEGIN}
echo "@leader $up $leader"
echo "@generations $#"
echo "@date $(date +%s.%N)"
echo "@uname $(uname -nrm)"
[ -d /run/systemd/system ] && echo @systemd
[ -e /sys/fs/cgroup/cgroup.controllers ] && echo @cgroup2
[ -h /run/systemd/units/invocation:systemd-resolved.service ] && echo @resolved
[ ! -e {CONNTRACK} ] || true >>{CONNTRACK} && echo @conntrack
ca=; for d in {" ".join(CA_DIRECTORIES)}; do [ ! -d $d ] || ca="$ca $d"; done; echo "@ca$ca"
grep -sE '^(PRETTY_NAME|ID|ID_LIKE|VERSION_ID)=|^MemTotal|^/|^[0-9][0-9,-]*$|^(CapBnd|Uid)' {FILES}
last=end; [ ! -e {RUN_NOTE} ] || while read -r word rest; do last=$word; done <{RUN_NOTE}
case $last in end|failed) ;; *) echo @unfinished ;; esac
echo @disks
stat -f -c '%n %S %a %b' {DISKS}
echo @sockets
if command -v ss >/dev/null; then ss -Hltun$new
else grep -sE ': [0-9A-F]+:[0-9A-F]+ [0-9A-F]+:0000 (0A|07) ' {SOCKETS}; fi
echo @addresses
if command -v ip >/dev/null; then ip -o addr show scope global
else grep -s '' /proc/net/if_inet6 /proc/net/fib_trie; fi
if [ "$new" ] && ! command -v ss >/dev/null; then echo @names
grep -s '' /proc/[0-9]*/comm; ls -l /proc/[0-9]*/fd | grep -E '^/proc|socket:'; fi
echo {END}
}} 2>/dev/null </dev/null
"""

SELINUX = MappingProxyType({"1": "enforcing", "0": "permissive"})
GO_ARCH = MappingProxyType({"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"})  # the rest is the same in Go


def gather(remote: Remote, reads: Queries, waits: Callable[[str], None]) -> tuple[Facts, Observation]:
    """Ask one host for its facts and for `reads`, in one round trip.

    Args:
        remote: the host.
        reads: what else is to be seen.
        waits: told what goes on there as long as the host cannot be asked.

    Raises:
        ConnectionFailed: it cannot be reached, entered or made root on.
        ProtocolError: its answer is not that of the script.
        HostBusy: what an earlier run began there does not end.
    """
    remote.host  # noqa: B018 - a pool connects on first use; that is not part of the clock's round trip
    sent = time.time()
    seen = remote.observe(Queries.merge((Queries(outputs=(SCRIPT,)), reads)))
    text = seen.outputs[SCRIPT]
    facts = parse(text, sent=sent, received=time.time(), host=remote.host)
    if UNFINISHED in text:
        _wait_until_idle(remote, waits)
        seen = remote.observe(reads)
    told = {script: said for script, said in seen.outputs.items() if script != SCRIPT}
    return facts, replace(seen, outputs=told)


def _wait_until_idle(remote: Remote, waits: Callable[[str], None]) -> None:
    """Wait for an act that goes on without its controller: a plan made meanwhile would be wrong when it is done."""
    for seconds in (0, *(_LOOK_EVERY for _ in range(0, int(BUSY_DEADLINE), _LOOK_EVERY))):
        wait = ("flock", "-w", str(seconds), LOCK, "true")
        done = remote.run(wait, deadline=seconds + 30, expect=range(256))
        if done.status != 1:  # 0: it is free; any other says that there is no lock, or no flock: act will tell
            return
        waits(working(interrupted_in(remote.observe(Queries(reads=(RUN_NOTE,))))))
    raise HostBusy(
        f"an earlier run, perhaps one whose connection died, still works there after {BUSY_DEADLINE:.0f} s",
        host=remote.host,
        step="facts",
        remedy=f"see on the host what it does (fuser -v {LOCK}; tail {RUN_NOTE}), then run again",
    )


def parse(text: str, *, sent: float = 0.0, received: float = 0.0, host: str | None = None) -> Facts:
    """Make Facts of the script's answer.

    Args:
        text: what it printed.
        sent: controller's clock when it was sent, seconds since the epoch.
        received: controller's clock when the answer was there.
        host: for the error.

    Raises:
        ProtocolError: the answer is cut off or is not ours.
    """
    begin, end = text.find(f"{BEGIN}\n"), text.rfind(f"\n{END}")
    if begin < 0 or end < 0:
        raise ProtocolError(
            "the host did not answer the question what it is",
            host=host,
            step="facts",
            evidence=text[-500:].splitlines()[-5:],
            remedy="see what a login prints there, and that /bin/sh is a shell",
        )
    return _Answer(text[begin:end].splitlines()[1:]).facts(sent, received)


class _Answer:
    """The lines of an answer: flags and values (`@name rest`), then lines by section."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.values: dict[str, str] = {}
        self.sections: dict[str, list[str]] = {}
        section = "files"
        for line in lines:
            if line.startswith("@"):
                name, _, rest = line[1:].partition(" ")
                self.values[name] = rest
                if name in {"disks", "sockets", "addresses", "names"}:
                    section = name
            else:
                self.sections.setdefault(section, []).append(line)

    def facts(self, sent: float, received: float) -> Facts:
        files = self._files()
        release = dict(_assignments(files.get("/etc/os-release", ())))
        hostname, kernel, machine = [*self.values.get("uname", "").split(), "", "", ""][:3]
        os_id = release.get("ID", "linux")
        status = dict(line.split(maxsplit=1) for line in files.get("/proc/self/status", ()))
        return Facts(
            hostname=hostname,
            os_id=os_id,
            os_like=frozenset({os_id, *release.get("ID_LIKE", "").split()}),
            os_version=release.get("VERSION_ID", ""),
            os_name=release.get("PRETTY_NAME", os_id),
            arch=GO_ARCH.get(machine, machine),
            kernel=kernel,
            cpus=_count(files.get(CPUS, ["0"])[0]),
            memory=_number(files.get("/proc/meminfo", ["0"])[0]) * 1024,
            disks=dict(_disks(self.sections.get("disks", ()))),
            clock_skew=self._clock_skew(sent, received),
            cgroup=2 if "cgroup2" in self.values else 1,
            systemd="systemd" in self.values,
            selinux=SELINUX.get(files.get("/sys/fs/selinux/enforce", [""])[0], "disabled"),
            swap=tuple(line.split()[0] for line in files.get("/proc/swaps", ())),
            addresses=_addresses(self.sections.get("addresses", ())),
            listening=self._listening(),
            capabilities=int(status.get("CapBnd:", "0"), 16),
            generations=int(self.values.get("generations", "0")),
            uid=int(status.get("Uid:", "0 0").split()[1]),
            resolv_conf="/run/systemd/resolve/resolv.conf" if "resolved" in self.values else "/etc/resolv.conf",
            login_seconds=self._login_seconds(),
            ca_directories=tuple(self.values.get("ca", "").split()),
            conntrack_writable="conntrack" in self.values,
        )

    def _files(self) -> dict[str, list[str]]:
        """Return the lines that grep gave, by file."""
        files: dict[str, list[str]] = {}
        for line in self.sections.get("files", ()):
            path, _, rest = line.partition(":")
            files.setdefault(path, []).append(rest)
        return files

    def _clock_skew(self, sent: float, received: float) -> float:
        """Return by how much the clock is off at least: it was looked at some time between sending and receiving."""
        seconds, _, fraction = self.values.get("date", "0").partition(".")
        exact = fraction.isdigit()  # busybox does not know %N
        low = float(f"{seconds}.{fraction}") if exact else float(seconds)
        high = low if exact else low + 1
        return min(max(0.0, low - received), high - sent)

    def _login_seconds(self) -> float:
        """Return how long the session's first process was there before the script began, in steps of 10 ms."""
        up, _, stat = self.values.get("leader", "").partition(" ")
        fields = stat.rpartition(")")[2].split()
        if not up or len(fields) < 20:
            return 0.0
        return max(0.0, round(float(up) - int(fields[19]) / TICKS, 2))

    def _listening(self) -> dict[tuple[str, int], str]:
        names = _process_names(self.sections.get("names", ()))
        found: dict[tuple[str, int], str] = {}
        for line in self.sections.get("sockets", ()):
            socket = _from_proc(line, names) if line.startswith("/proc/") else _from_ss(line)
            if socket is not None:
                found[socket[0]] = found.get(socket[0]) or socket[1]
        return found


Socket = tuple[tuple[str, int], str]


def _from_ss(line: str) -> Socket | None:
    """Read `tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=3))`."""
    fields = line.split()
    port = fields[4].rpartition(":")[2] if len(fields) > 4 else ""
    if not port.isdigit():
        return None
    process = re.search(r'users:\(\("([^"]*)"', line)
    return (fields[0], int(port)), process[1] if process else ""


def _from_proc(line: str, names: Mapping[str, str]) -> Socket | None:
    """Read a line of /proc/net/tcp and its like, with the file's name before it."""
    path, _, rest = line.partition(":")
    fields = rest.split()
    protocol = path.rpartition("/")[2].removesuffix("6")
    if len(fields) < 10 or LISTENING.get(protocol) != fields[3]:
        return None
    return (protocol, int(fields[1].rpartition(":")[2], 16)), names.get(fields[9], "")


def _assignments(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, value = line.partition("=")
        yield name, value.strip().strip("\"'")


def _number(text: str) -> int:
    found = re.search(r"\d+", text)
    return int(found[0]) if found else 0


def _count(ranges: str) -> int:
    """Count the processors in `0-3,6`."""
    total = 0
    for part in filter(None, ranges.strip().split(",")):
        low, _, high = part.partition("-")
        total += int(high or low) - int(low) + 1
    return total


def _disks(lines: Iterable[str]) -> Iterator[tuple[str, tuple[int, int]]]:
    for line in lines:
        path, block, free, total = line.rsplit(maxsplit=3)
        yield path, (int(free) * int(block), int(total) * int(block))


def _addresses(lines: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Return addresses by interface, from `ip -o addr`, else from /proc, where IPv4 has no interface's name."""
    found: dict[str, list[str]] = {}
    trie: list[str] = []
    for line in lines:
        path, _, rest = line.partition(":")
        if path == "/proc/net/fib_trie":
            trie.append(rest)
            continue
        fields = rest.split()
        if path == "/proc/net/if_inet6":
            address = ip_interface((bytes.fromhex(fields[0]), int(fields[2], 16)))
            if fields[3] == "00":  # global scope
                found.setdefault(fields[5], []).append(str(address))
        elif len(fields) > 2 and fields[1] in {"inet", "inet6"}:
            found.setdefault(fields[0].partition("@")[0], []).append(fields[2])
    for address4 in _local_addresses(trie):
        found.setdefault("", []).append(address4)
    return {interface: tuple(dict.fromkeys(listed)) for interface, listed in found.items()}


def _local_addresses(trie: Iterable[str]) -> Iterator[str]:
    """Yield the host's own IPv4 addresses: leaves of fib_trie that are `/32 host LOCAL`."""
    leaf = ""
    for line in trie:
        words = line.split()
        if words[:1] == ["|--"]:
            leaf = words[1]
        elif words == ["/32", "host", "LOCAL"] and leaf and not leaf.startswith("127."):
            yield f"{leaf}/32"


def _process_names(lines: Iterable[str]) -> dict[str, str]:
    """Return socket inode -> name of a process that holds it."""
    comm: dict[str, str] = {}
    names: dict[str, str] = {}
    process = ""
    for line in lines:
        if found := re.match(r"/proc/(\d+)/comm:(.*)", line):
            comm[found[1]] = found[2]
        elif found := re.match(r"/proc/(\d+)/fd:", line):
            process = found[1]
        elif found := re.search(r"socket:\[(\d+)\]", line):
            names.setdefault(found[1], comm.get(process, ""))
    return names
