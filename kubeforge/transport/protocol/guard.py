"""One guard before the first change: what was seen is looked at again and compared byte for byte.

The host prints the present state as one text and compares its SHA-256 with the one that the controller computed from
what it saw. Where they differ it sends that text back, so that the error can name what changed. What changes by
itself does not count: size and time of a directory, and whether a unit is `activating` or `active`.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from kubeforge.errors import KubeforgeError
from kubeforge.operations.model import Entry, Observation, Queries, UnitState
from kubeforge.operations.shell import join, quote
from kubeforge.operations.sysctl import sysctl_path
from kubeforge.transport.protocol import packages
from kubeforge.transport.protocol.framing import STAT, STAT_FIELDS, Cursor, chunked, decode, encode
from kubeforge.transport.protocol.observe import module_test, mount_pattern, test_line

__all__ = ["Guard", "guard"]

_FOLDER = r"stat --printf='%n\0%f\0%U\0%G\0' --"
_FOLDER_FIELDS = 4
_END = "printf '\\0'\n"
_UNIT_PROPERTIES = "LoadState,ActiveState,UnitFileState,NeedDaemonReload"
_RUNNING = ("active", "activating", "reloading", "refreshing")

# Reads `systemctl show` and prints one line per unit, in the order asked, with only what decisions depend on.
_UNITS = r"""u() {
  l= a= f= n=
  while IFS= read -r k; do case $k in
    LoadState=*) l=${k#*=} ;; UnitFileState=*) f=${k#*=} ;; NeedDaemonReload=*) n=${k#*=} ;;
    ActiveState=active | ActiveState=activating | ActiveState=reloading | ActiveState=refreshing) a=runs ;;
    ActiveState=*) a=rests ;;
    '') p ;; esac; done
  p
}
p() { [ -z "$l" ] || printf 'unit %s %s %s %s\n' "$l" "$a" "$f" "$n"; l= a= f= n=; }
"""
_PACKAGES = r"""k() {
  while IFS='	' read -r n s v; do case $s in ?i*) printf 'package %s %s\n' "$n" "$v" ;; esac; done
}
"""


@dataclass(frozen=True, slots=True)
class Guard:
    """What is compared on the host.

    Args:
        script: sh lines that print the present state; empty where there is nothing to compare.
        expected: what they print when nothing changed.
        queries: what is compared.
    """

    script: str
    expected: bytes
    queries: Queries

    @property
    def sha256(self) -> str:
        """Hex digest of what is expected."""
        return hashlib.sha256(self.expected).hexdigest()

    def differences(self, answer: bytes) -> list[str]:
        """Name what `answer`, the present state, has otherwise than what was seen."""
        before, now = _records(self.queries, self.expected), _records(self.queries, answer)
        return [name for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]


def guard(queries: Queries, seen: Observation) -> Guard:
    """Return the guard for `queries`, all of which `seen` must answer.

    Contents are compared by their digests; images are not compared, as importing twice does no harm.
    """
    missing = [name for name in queries.stats if name not in seen.paths]
    missing += [name for name in queries.hashes if name not in seen.hashes]
    missing += [name for name in queries.units if name not in seen.units]
    if missing:
        raise KubeforgeError(
            f"a change guards what was not observed: {', '.join(missing)}",
            remedy="the operation's observe() must ask for everything that its guard names",
        )
    folders = tuple(name for name in queries.stats if _is_folder(seen, name))
    others = tuple(name for name in queries.stats if name not in folders)
    shell = [*chunked(STAT, others), _END, *chunked(_FOLDER, folders), _END]
    shell += [*chunked("sha256sum -z --", queries.hashes), _END, *_text_lines(queries)]
    expected = b"".join(
        [
            *(_raw(seen, name) for name in others),
            b"\0",
            *(_folder(seen, name) for name in folders),
            b"\0",
            *(encode(f"{found}  {name}\0") for name in queries.hashes if isinstance(found := seen.hashes[name], str)),
            b"\0",
            *(line + b"\n" for line in _expected_lines(queries, seen)),
        ]
    )
    return Guard("".join(shell) if queries else "", expected if queries else b"", queries)


def _is_folder(seen: Observation, name: str) -> bool:
    entry = seen.paths[name]
    return isinstance(entry, Entry) and stat.S_ISDIR(entry.mode)


def _raw(seen: Observation, name: str) -> bytes:
    entry = seen.paths[name]
    return entry.raw if isinstance(entry, Entry) else b""


def _folder(seen: Observation, name: str) -> bytes:
    raw = _raw(seen, name)
    return b"".join(field + b"\0" for field in raw.split(b"\0")[:_FOLDER_FIELDS])


def _text_lines(queries: Queries) -> Iterator[str]:
    if queries.packages:
        yield f"{_PACKAGES}{{ {packages.query(queries.packages)}; }} | k | sort -u\n"
    if queries.units:
        show = "".join(chunked(f"systemctl show -p {_UNIT_PROPERTIES} --", queries.units))
        yield f"{_UNITS}{{ {show}}} | u\n"
    for index, name in enumerate(queries.modules):
        yield f"if {module_test(name)}; then echo module {index} 0; else echo module {index} 1; fi\n"
    for index, argv in enumerate(queries.tests):
        yield f"if {test_line(argv)}; then echo test {index} 0; else echo test {index} 1; fi\n"
    for index, name in enumerate(queries.sysctls):
        path = quote(sysctl_path(name))
        yield f"if v=$(head -n 1 -- {path}); then set -f; set -- $v; set +f; printf 'sysctl {index} %s\\n' \"$*\"; fi\n"
    for index, path in enumerate(queries.mounts):
        topmost = f"grep -E {quote(mount_pattern(path))} /proc/self/mountinfo | tail -n 1"
        yield f"printf 'mount {index} %s\\n' \"$({topmost})\"\n"


def _expected_lines(queries: Queries, seen: Observation) -> Iterator[bytes]:
    """What the lines above print; tests count as succeeded or not, units as running or not."""
    for name in sorted(queries.packages, key=encode):
        if seen.packages[name] is not None:
            yield encode(f"package {name} {seen.packages[name]}")
    yield from (_unit_line(seen.units[name]) for name in queries.units)
    yield from (encode(f"module {index} {int(not seen.modules[name])}") for index, name in enumerate(queries.modules))
    yield from (encode(f"test {index} {int(seen.tests[argv] != 0)}") for index, argv in enumerate(queries.tests))
    for index, name in enumerate(queries.sysctls):
        if seen.sysctls[name] is not None:
            yield encode(f"sysctl {index} {seen.sysctls[name]}")
    for index, path in enumerate(queries.mounts):
        mount = seen.mounts[path]
        yield encode(f"mount {index} ") + (mount.raw if mount is not None else b"")


def _unit_line(state: UnitState) -> bytes:
    active = "runs" if state.active in _RUNNING else "rests"
    return encode(f"unit {state.load} {active} {state.file} {'yes' if state.need_reload else 'no'}")


def _records(queries: Queries, data: bytes) -> dict[str, bytes]:
    """What is compared, by the name that a person knows it by."""
    cursor = Cursor(data)
    found = {decode(record[0]): b"\0".join(record[1:]) for record in cursor.fields(STAT_FIELDS)}
    found |= {decode(record[0]): b"\0".join(record[1:]) for record in cursor.fields(_FOLDER_FIELDS)}
    found |= {decode(line[66:]) + " (content)": line[:64] for (line,) in cursor.fields(1)}
    named = {
        "module": queries.modules,
        "test": [join(argv) for argv in queries.tests],
        "sysctl": queries.sysctls,
        "mount": queries.mounts,
    }
    units = iter(queries.units)
    for line in cursor.rest().splitlines():
        kind, _, value = decode(line).partition(" ")
        key, _, value = (next(units, "?"), "", value) if kind == "unit" else value.partition(" ")
        label = named[kind][int(key)] if kind in named else key
        found[f"{kind} {label}"] = encode(value)
    return found
