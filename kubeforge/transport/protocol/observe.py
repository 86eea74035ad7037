"""Queries -> one read-only script; its answer -> Observation.

The whole script stands in braces: one that was cut off does not parse, so it never runs half. The answer begins and
ends with a nonce; between them come NUL-terminated fields, one section per kind of query that was asked, and last the
contents as a tar stream, which frames itself. Errors of stat and sha256sum come on standard error, one line per failing
name and in the order asked (coreutils quotes newlines there). Only processes that are needed are started.
"""

from __future__ import annotations

import io
import re
import stat
import tarfile
from collections.abc import Iterator, Sequence

from kubeforge.errors import ProtocolError
from kubeforge.operations.listing import LISTED_FIELDS, find_lines, listed
from kubeforge.operations.model import Entry, Listed, MountEntry, Observation, Queries, UnitState, UnreadablePath
from kubeforge.operations.shell import join, quote
from kubeforge.operations.sysctl import sysctl_path
from kubeforge.spec import paths
from kubeforge.transport.protocol import packages
from kubeforge.transport.protocol.framing import (
    HEAD,
    STAT,
    STAT_FIELDS,
    Cursor,
    chunked,
    decode,
    encode,
    garbled,
)

__all__ = ["module_test", "mount_pattern", "parse", "script", "test_line"]

_UNIT_PROPERTIES = "LoadState,ActiveState,UnitFileState,NeedDaemonReload,ActiveEnterTimestamp"
_MISSING = ("No such file or directory", "Not a directory")
_END = "printf '\\0' >&2; printf '\\0'\n"
_NUL = "printf '\\0'\n"
_NAME = r"""if [ -e "$n" ] || [ -L "$n" ]; then printf '%s\0' "${n##*/}"; fi"""
# A name that the shell would run itself and that could end or bend the script: run as a program, in a child.
_PLAIN = frozenset({"test", "[", "true", "false"})


def script(queries: Queries, nonce: str) -> bytes:
    """Return the script that answers `queries`; `sh -c 'eval "$(cat)"'` reads it from standard input."""
    out = ["{ ", HEAD, f"printf '%s\\0' {nonce}; printf '%s\\0' {nonce} >&2\n", *_sections(queries)]
    out.append(f"printf '%s' {nonce}; }} </dev/null\n")
    return encode("".join(out))


def _sections(queries: Queries) -> Iterator[str]:
    for text in queries.outputs:  # first: one of them may look at the clock
        yield f"( :\n{text}\n) 2>/dev/null; printf '\\0'\n"
    for command, names in ((STAT, queries.stats), ("sha256sum -z --", queries.hashes)):
        if names:
            yield from chunked(command, names)
            yield _END
    if queries.trees:
        yield from (f"{line} 2>/dev/null\n" for line in find_lines(queries.trees))
        yield "printf '\\0'\n"
    if queries.folders:
        yield from map(_folder, queries.folders)
    yield from _texts(queries)
    if queries.modules:
        yield "R=\n"
        yield from (f'{module_test(name)}; R="$R $?"\n' for name in queries.modules)
        yield "printf '%s\\0' \"$R\"\n"
    if queries.tests:
        yield "R=\n"
        yield from (f'{test_line(argv)}; R="$R $?"\n' for argv in queries.tests)
        yield "printf '%s\\0' \"$R\"\n"
    if queries.reads:
        yield from chunked("tar -cPh --hard-dereference --no-recursion --no-unquote -b8 -f- --", queries.reads)


def _folder(path: str) -> str:
    """Return the lines that print the names in a directory, hidden ones too; find is not asked of hosts."""
    where = quote(path)
    return f"for n in {where}/* {where}/.[!.]* {where}/..?*; do {_NAME}; done\n{_NUL}"


def _texts(queries: Queries) -> Iterator[str]:
    """Sections that are one program's text; none of them can hold a NUL."""
    if queries.packages:
        yield f"{packages.survey(queries.packages)} 2>/dev/null; printf '\\0'\n"
    if queries.units:
        yield from chunked(f"systemctl show --timestamp=unix -p {_UNIT_PROPERTIES} --", queries.units)
        yield "printf '\\0'\n"
    if queries.sysctls:
        yield from chunked("head -v -n 1 --", map(sysctl_path, queries.sysctls))
        yield "printf '\\0'\n"
    if queries.mounts:
        words = " ".join(f"-e {quote(mount_pattern(path))}" for path in queries.mounts)
        yield f"grep -E {words} /proc/self/mountinfo; printf '\\0'\n"
    if queries.images:
        yield (
            f"[ ! -S {paths.CONTAINERD_SOCKET} ] || "
            f"ctr --connect-timeout 5s -n {paths.CONTAINERD_NAMESPACE} images ls 2>/dev/null; printf '\\0'\n"
        )


def test_line(argv: Sequence[str]) -> str:
    """Return the line that runs a read-only command and leaves its exit status in `$?`."""
    line = f"{join(argv)} >/dev/null 2>&1"
    return line if argv[0] in _PLAIN else f"( exec {line} )"


def module_test(name: str) -> str:
    """Return the line whose exit status says whether a kernel module is loaded or built in.

    A module without parameters that is built in has no folder in /sys/module, so other signs count too: the list of
    file systems, bridge sysctls for br_netfilter, and the kernel's own list of what is built in. /proc/modules is
    missing on kernels without loadable modules, so it is not looked at.
    """
    plain = name.replace("-", "_")
    folder = quote(f"/sys/module/{plain}")
    signs = [f"[ -d {folder} ]"]
    if plain == "br_netfilter":
        signs.append("[ -d /proc/sys/net/bridge ]")
    pattern = re.escape(plain).replace("_", "[-_]")
    signs.append(f"grep -qsE {quote(f'^(nodev)?[[:space:]]{re.escape(plain)}$')} /proc/filesystems")
    signs.append(f'grep -qs {quote(f"/{pattern}[.]ko$")} "/lib/modules/$(uname -r)/modules.builtin"')
    return " || ".join(signs)


def mount_pattern(path: str) -> str:
    """Return the extended regular expression that finds a mount point in mountinfo (its fifth field)."""
    return f"^([^ ]+ ){{4}}{re.escape(_escaped(path))} "


def _escaped(path: str) -> str:
    """As the kernel writes a mount point in mountinfo."""
    return re.sub(r"[ \t\n\\]", lambda found: f"\\{ord(found[0]):03o}", path)


def _unescaped(field: bytes) -> str:
    return decode(re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), field))


def parse(queries: Queries, nonce: str, stdout: bytes, stderr: bytes) -> Observation:
    """Return what the script said.

    Raises:
        ProtocolError: the answer was cut off or is not ours.
    """
    mark = encode(nonce)
    start, noise = stdout.find(mark + b"\0"), stderr.find(mark + b"\0")
    if start < 0 or noise < 0 or not stdout.endswith(mark):
        raise garbled("the host gave no whole answer to what was asked", stdout, stderr)
    cursor = Cursor(stdout[: -len(mark)], start + len(mark) + 1)
    errors = Cursor(stderr, noise + len(mark) + 1)
    outputs = {text: decode(cursor.field()) for text in queries.outputs}
    stats = _stats(queries.stats, cursor, errors) if queries.stats else {}
    hashes = _hashes(queries.hashes, cursor, errors) if queries.hashes else {}
    trees = _trees(queries.trees, cursor) if queries.trees else {}
    folders = {path: tuple(sorted(decode(name) for (name,) in cursor.fields(1))) for path in queries.folders}
    installed = packages.installed(queries.packages, cursor.field()) if queries.packages else {}
    units = _units(queries.units, cursor.field()) if queries.units else {}
    sysctls = _sysctls(queries.sysctls, cursor.field()) if queries.sysctls else {}
    mounts = _mounts(queries.mounts, cursor.field()) if queries.mounts else {}
    images = _images(queries.images, cursor.field()) if queries.images else {}
    modules = [status == 0 for status in map(int, cursor.field().split())] if queries.modules else []
    tests = [int(status) for status in cursor.field().split()] if queries.tests else []
    return Observation(
        paths=stats,
        hashes=hashes,
        contents=_contents(cursor.rest()),
        folders=folders,
        packages=installed,
        units=units,
        sysctls=sysctls,
        modules=dict(zip(queries.modules, modules, strict=True)),
        mounts=mounts,
        images=images,
        tests=dict(zip(queries.tests, tests, strict=True)),
        trees=trees,
        outputs=outputs,
    )


def _entry(record: Sequence[bytes]) -> Entry:
    """Return the Entry of one stat record."""
    name, mode, owner, group, uid, gid, _size, modified, link = record
    kind = int(mode, 16)
    return Entry(
        kind,
        decode(uid if owner == b"UNKNOWN" else owner),
        decode(gid if group == b"UNKNOWN" else group),
        _target(name, link) if stat.S_ISLNK(kind) else None,
        b"".join(field + b"\0" for field in record),
        int(uid),
        int(gid),
        int(modified),
    )


def _target(name: bytes, link: bytes) -> str:
    """What `NAME -> TARGET` names; also where stat knows no literal quoting and both stand in quotation marks."""
    for before, after in ((name + b" -> ", b""), (b"'" + name + b"' -> '", b"'")):
        if link.startswith(before) and link.endswith(after):
            return decode(link[len(before) : len(link) - len(after)])
    raise garbled("stat on the host says what a symbolic link holds in a form that is not known", link, b"")


def _stats(asked: Sequence[str], cursor: Cursor, errors: Cursor) -> dict[str, Entry | UnreadablePath | None]:
    found: dict[str, Entry | UnreadablePath | None] = {
        decode(record[0]): _entry(record) for record in cursor.fields(STAT_FIELDS)
    }
    return {**found, **_failures([name for name in asked if name not in found], errors)}


def _hashes(asked: Sequence[str], cursor: Cursor, errors: Cursor) -> dict[str, str | UnreadablePath | None]:
    found: dict[str, str | UnreadablePath | None] = {
        decode(line[66:]): line[:64].decode() for (line,) in cursor.fields(1)
    }
    return {**found, **_failures([name for name in asked if name not in found], errors)}


def _trees(asked: Sequence[str], cursor: Cursor) -> dict[str, dict[str, Listed]]:
    """What could not be read is left out: names are for people, nothing is decided on them."""
    found = listed(cursor.fields(LISTED_FIELDS))
    return {top: {path: one for path, one in found.items() if f"{path}/".startswith(f"{top}/")} for top in asked}


def _failures(names: Sequence[str], errors: Cursor) -> dict[str, UnreadablePath | None]:
    """The k-th failing name has the k-th error line; None: it is just missing."""
    lines = errors.field().decode("utf-8", "replace").splitlines()
    if len(names) != len(lines):
        raise ProtocolError(
            f"{len(names)} paths could not be looked at, but there are {len(lines)} error lines", evidence=lines[:5]
        )
    return {
        name: None if line.endswith(_MISSING) else UnreadablePath(line.rpartition(": ")[2])
        for name, line in zip(names, lines, strict=True)
    }


def _units(asked: Sequence[str], text: bytes) -> dict[str, UnitState]:
    blocks = [block for block in text.decode("utf-8", "replace").strip("\n").split("\n\n") if block]
    if len(blocks) != len(asked):
        return dict.fromkeys(asked, UnitState(load="unknown"))
    states = {}
    for name, block in zip(asked, blocks, strict=True):
        said = dict(row.partition("=")[::2] for row in block.splitlines())
        since = said.get("ActiveEnterTimestamp", "").removeprefix("@")
        states[name] = UnitState(
            load=said.get("LoadState", "unknown"),
            active=said.get("ActiveState", ""),
            file=said.get("UnitFileState", ""),
            need_reload=said.get("NeedDaemonReload") == "yes",
            since=int(since) if since.isdigit() and since != "0" else None,
        )
    return states


def _sysctls(asked: Sequence[str], text: bytes) -> dict[str, str | None]:
    rows = text.decode("utf-8", "replace").split("\n")
    headed = {
        row[4:-4]: " ".join(rows[i + 1].split())
        for i, row in enumerate(rows[:-1])
        if row.startswith("==> /proc/sys/") and row.endswith(" <==")
    }
    return {name: headed.get(sysctl_path(name)) for name in asked}


def _mounts(asked: Sequence[str], text: bytes) -> dict[str, MountEntry | None]:
    found: dict[str, MountEntry] = {}
    for row in text.splitlines():
        mount, _, system = row.partition(b" - ")
        fields, kind = mount.split(b" "), system.split(b" ")
        if len(fields) < 6 or len(kind) < 3:
            continue
        options = {decode(option) for option in (*fields[5].split(b","), *kind[2].split(b","))}
        # the last one on the same point lies on top
        found[decode(fields[4])] = MountEntry(_unescaped(kind[1]), decode(kind[0]), frozenset(options), row)
    return {path: found.get(_escaped(path)) for path in asked}


def _images(asked: Sequence[str], text: bytes) -> dict[str, str | None]:
    rows = [row.split() for row in text.decode("utf-8", "replace").splitlines()]
    found = {row[0]: row[2] for row in rows if len(row) > 2 and row[2].startswith("sha256:")}
    return {reference: found.get(reference) for reference in asked}


def _contents(data: bytes) -> dict[str, bytes]:
    """Several tars may follow each other, one per group of names."""
    if not data:
        return {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:", errors="surrogateescape", ignore_zeros=True) as tar:
            return {member.name: file.read() for member in tar if (file := tar.extractfile(member))}
    except tarfile.TarError as error:
        raise garbled(f"file contents came broken ({error})", data, b"") from error
