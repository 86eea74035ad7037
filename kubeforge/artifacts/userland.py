"""The few programs that are not Go: nft, iptables, ipset, conntrack with their libraries and modules, and busybox.

They are taken out of Debian packages that apt fetches and verifies, so the machine must have apt; nothing is
installed, and root is not needed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kubeforge.artifacts.cache import Cache
from kubeforge.artifacts.model import LocalFile, Progress, ProgressEvent, Stage
from kubeforge.artifacts.oci import Entry
from kubeforge.errors import ArtifactError

__all__ = ["REVISION", "Userland", "userland"]

REVISION: Final = "1"
"""Raised when what is collected changes."""
_KIND: Final = "userland"
_PACKAGES: Final = ("nftables", "iptables", "ipset", "conntrack")
"""With all they depend on."""
_ALONE: Final = ("busybox-static", "ca-certificates", "netbase")
"""Without what they depend on: only files are taken."""
_PROGRAMS: Final = ("nft", "xtables-nft-multi", "ipset", "conntrack")
_NAMES: Final = ("iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore")
_MODULES: Final = re.compile(r"lib(xt|ipt|ip6t)_.*\.so")
_NEEDED: Final = re.compile(r"^\s*(?:\S+ => )?(/\S+) \(0x[0-9a-f]+\)$", re.MULTILINE)
"""A line of `ld.so --list`."""
_PART: Final = "userland"
_STEP: Final = "artifact userland of kube-proxy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Userland:
    """What was collected.

    Args:
        network: nft, iptables and all they load, as layer entries.
        busybox: the static program.
        applets: the names it goes by.
        etc: /etc/protocols, /etc/services and the CA bundle, as layer entries.
    """

    network: tuple[Entry, ...]
    busybox: LocalFile
    applets: tuple[str, ...]
    etc: tuple[Entry, ...]


def userland(cache: Cache, arch: str, progress: Progress) -> Userland:
    """Return the userland for this machine's architecture, collected once.

    Raises:
        ArtifactError: there is no apt here, or it cannot fetch the packages.
    """
    key = f"{REVISION}-{arch}"
    found = _recorded(cache, key)
    if found is not None:
        return found
    with cache.lock("userland"):
        found = _recorded(cache, key)
        if found is None:
            progress(ProgressEvent(part=_PART, stage=Stage.DOWNLOAD, text="Debian packages"))
            with cache.scratch("userland") as folder:
                _collect(cache, key, folder)
            progress(ProgressEvent(part=_PART, stage=Stage.DOWNLOAD, finished=True))
            found = _recorded(cache, key)
    if found is None:
        raise ArtifactError("what was collected is gone from the cache", step=_STEP, remedy="run again")
    return found


def _recorded(cache: Cache, key: str) -> Userland | None:
    recorded = cache.record(_KIND, key)
    files = cache.files(recorded)
    if recorded is None or files is None:
        return None

    def entries(prefix: str, mode: int) -> Iterator[Entry]:
        for name, file in files.items():
            if name.startswith(prefix):
                yield Entry(path=name.removeprefix(prefix), source=file, mode=mode)

    links = [Entry(path=f"/usr/sbin/{name}", target="xtables-nft-multi") for name in _NAMES]
    return Userland(
        network=(*entries("network:", 0o755), *links),
        busybox=files["busybox"],
        applets=tuple(recorded["applets"]),
        etc=tuple(entries("etc:", 0o644)),
    )


def _collect(cache: Cache, key: str, folder: Path) -> None:
    """Fetch and unpack the packages, take the files out, record them."""
    for program in ("apt-get", "apt-cache", "dpkg-deb"):
        if shutil.which(program) is None:
            raise ArtifactError(
                f"{program} is missing: these programs are taken out of Debian packages",
                step=_STEP,
                remedy="run on Debian or Ubuntu, or take a mirror or upstream's images (artifacts.source)",
            )
    root = folder / "root"
    packages = sorted({*_dependencies(), *_ALONE})
    _run(["apt-get", "download", *_sandbox(), *packages], folder)
    archives = sorted(folder.glob("*.deb"))
    for archive in archives:
        _run(["dpkg-deb", "-x", str(archive), str(root)], folder)
    busybox = _find(root, "busybox")
    applets = _run([str(busybox), "--list"], folder).split()
    files = {f"network:{path}": source for path, source in _network(root).items()}
    files |= {f"etc:/etc/{name}": root / "etc" / name for name in ("protocols", "services")}
    files |= {"busybox": busybox, "etc:/etc/ssl/certs/ca-certificates.crt": _bundle(root, folder)}
    kept = {name: cache.add(_copy(source, folder)) for name, source in sorted(files.items())}
    cache.write_record(
        _KIND,
        key,
        {
            "packages": [archive.stem for archive in archives],
            "applets": sorted(set(applets) - {"busybox"}),
            "files": Cache.file_entries(kept),
        },
    )


def _dependencies() -> list[str]:
    """Return `_PACKAGES` with all they depend on, without what merely provides them."""
    without = ("recommends", "suggests", "conflicts", "breaks", "replaces", "enhances")
    options = ["--recurse", *(f"--no-{kind}" for kind in without)]
    listed = _run(["apt-cache", "depends", *options, *_PACKAGES], Path("/"))
    return [line for line in listed.splitlines() if re.match(r"[a-z0-9]", line)]


def _sandbox() -> list[str]:
    """Root's apt downloads as a user who may not write into our folder; it verifies all the same."""
    return ["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else []


def _network(root: Path) -> dict[str, Path]:
    """Return path in the image -> file, for the programs, their modules and every library they load."""
    modules_folder = next(path for path in root.rglob("xtables") if path.is_dir())
    modules = {path for path in modules_folder.iterdir() if _MODULES.fullmatch(path.name)}
    programs = [_find(root, name) for name in _PROGRAMS]
    triplet = modules_folder.parent.name
    found = {f"/usr/sbin/{path.name}": path for path in programs}
    found |= {f"/usr/lib/{triplet}/xtables/{path.name}": path for path in modules}
    loader = next(path for path in root.rglob("ld-linux*.so.*"))
    found[f"/{'lib64' if loader.name.startswith('ld-linux-x86-64') else 'lib'}/{loader.name}"] = loader
    for path in _libraries(root, loader, [*programs, *modules]):
        found[f"/usr/lib/{triplet}/{path.name}"] = path
    return {name: path.resolve() for name, path in found.items()}


def _libraries(root: Path, loader: Path, objects: Iterable[Path]) -> set[Path]:
    """Ask the packages' own dynamic loader what it would load; nothing is run but the loader."""
    folders = sorted({str(path.parent) for path in root.rglob("lib*.so*")})
    found: set[Path] = set()
    for path in objects:
        listed = _run([str(loader), "--library-path", ":".join(folders), "--list", str(path)], root)
        found |= {Path(name) for name in _NEEDED.findall(listed)}
    return {path for path in found if path.name != loader.name and path.is_relative_to(root)}


def _bundle(root: Path, folder: Path) -> Path:
    """Write the CA bundle, as update-ca-certificates would."""
    target = folder / "ca-certificates.crt"
    certificates = sorted((root / "usr/share/ca-certificates").rglob("*.crt"))
    target.write_bytes(b"".join(path.read_bytes().rstrip() + b"\n" for path in certificates))
    return target


def _find(root: Path, name: str) -> Path:
    found = [path for path in root.rglob(name) if path.is_file() and path.parent.name in {"bin", "sbin"}]
    if not found:
        raise ArtifactError(
            f"{name} is in none of the packages", step=_STEP, remedy="run `apt-get update`; is this Debian or Ubuntu?"
        )
    return found[0].resolve()


def _copy(source: Path, folder: Path) -> Path:
    """Copy without links and times: the cache moves what it is given, and one file may be wanted twice."""
    target = folder / "copy"
    shutil.copyfile(source, target)
    return target


def _run(command: Sequence[str], cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise ArtifactError(
            f"`{Path(command[0]).name} {command[1]}` ended with {done.returncode}",
            step=_STEP,
            evidence=done.stderr.splitlines()[-6:],
            remedy="run `apt-get update`, and see that apt can reach its sources",
        )
    return done.stdout
