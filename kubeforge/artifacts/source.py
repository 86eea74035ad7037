"""Compile components from Go modules into the cache. Knows how to compile, not what: the rows are in `components`.

Every module is verified by go.sum. Module and build cache are folders of our own below the cache's scratch folder, so
that nothing of the user's is filled, and they are gone afterwards. One process compiles at a time. What was compiled is
found again by what it was compiled of: the component's folder, its row, the Go version and the architecture.
"""

from __future__ import annotations

import hashlib
import platform
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kubeforge.artifacts.cache import Cache, remove_tree
from kubeforge.artifacts.components import COMPONENTS_FOLDER, Component
from kubeforge.artifacts.gobuild import GoBuild, require_compiler
from kubeforge.artifacts.golang import Go, find_go, wanted_go
from kubeforge.artifacts.model import LocalFile, Progress, ProgressEvent, Stage
from kubeforge.errors import ArtifactError

__all__ = ["Workshop", "built_key", "machine_arch"]

_ARCHES: Final = {"x86_64": "amd64", "aarch64": "arm64"}
_KIND: Final = "built"
_ROOM: Final = 6 << 30
"""Bytes that must be free before a component is compiled: the biggest took 4 GB of caches."""
_KEEP_CACHE: Final = 5 << 30
"""A build cache above this size is emptied before the next component; below, what it shares saves time."""


def machine_arch() -> str:
    """Return this machine's architecture in Go's spelling."""
    machine = platform.machine()
    return _ARCHES.get(machine, machine)


def built_key(component: Component, arch: str, go: Go) -> str:
    """Return the key of what was compiled: equal for equal sources, targets, flags, Go and architecture."""
    digest = hashlib.sha256(f"{component.targets!r}\n{component.link_flags}\n{arch}\n{go.text}\n".encode())
    folder = COMPONENTS_FOLDER / component.folder
    for path in sorted(folder.iterdir()):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


class Workshop:
    """Compiles components, one after the other, and finds those compiled before.

    Args:
        cache: where programs end up.
        progress: told of packages compiled, of how many, and the remaining time.
    """

    def __init__(self, cache: Cache, progress: Progress) -> None:
        self._cache = cache
        self._progress = progress
        self._gos: dict[tuple[int, int, int], Go] = {}

    def find(self, component: Component, arch: str) -> dict[str, LocalFile] | None:
        """Return the programs of a component if they have been compiled, else None.

        Raises:
            ArtifactError: there is no Go that could be asked for; what it compiled cannot be told.
        """
        return self._cache.files(self._cache.record(_KIND, built_key(component, arch, self._go(component))))

    def build(self, wanted: Sequence[Component], arch: str) -> dict[str, LocalFile]:
        """Return the programs of all these components by name; see `build_each`."""
        return {name: file for files in self.build_each(wanted, arch).values() for name, file in files.items()}

    def build_each(self, wanted: Sequence[Component], arch: str) -> dict[str, dict[str, LocalFile]]:
        """Return component label -> program name -> file, compiling those that are missing.

        Raises:
            ArtifactError: another architecture than the machine's, no Go, no C compiler, no room, or the compiler
                failed; the message has its last lines and the log's path.
        """
        found: dict[str, dict[str, LocalFile]] = {}
        missing: list[Component] = []
        for row in wanted:
            files = self.find(row, arch)
            if files is None:
                missing.append(row)
            else:
                found[row.label] = files
        if missing:
            self._refuse_foreign(arch)
            self._cache.sweep()
            waiting = ProgressEvent(part="compiler", stage=Stage.WAIT, text="another kubeforge is compiling")
            with self._cache.lock("compile", lambda: self._progress(waiting)), self._cache.scratch("go") as folder:
                for row in missing:  # the holder of the lock may have made it meanwhile
                    found[row.label] = self.find(row, arch) or self._compile(row, arch, folder)
        return found

    def _go(self, component: Component) -> Go:
        minimum = wanted_go(COMPONENTS_FOLDER / component.folder / "go.mod")
        if minimum not in self._gos:
            self._gos[minimum] = find_go(minimum)
        return self._gos[minimum]

    @staticmethod
    def _refuse_foreign(arch: str) -> None:
        if arch != machine_arch():
            raise ArtifactError(
                f"parts for {arch} cannot be compiled on this {machine_arch()} machine",
                step="artifacts from source",
                remedy=f"run `kubeforge artifacts build` on a {arch} machine and name its mirror, or take upstream's",
            )

    def _compile(self, component: Component, arch: str, scratch: Path) -> dict[str, LocalFile]:
        """Compile one component and record what came out."""
        go = self._go(component)
        if component.cgo:
            require_compiler(component)
        self._make_room(scratch)
        began = time.monotonic()
        self._tell(component, 0, None, began)
        log = self._cache.root / "logs" / f"{component.name}-{component.version}.log"
        run = GoBuild(component, go=go, arch=arch, scratch=scratch, log=log)
        total = run.stale_packages()
        made: dict[str, LocalFile] = {}
        done = 0
        for target in component.targets:
            path = scratch / "out" / component.folder / target.names[0].replace("/", "_")
            for _package in run.build(target, path):
                done += 1
                self._tell(component, done, max(done, total), began)
            made |= dict.fromkeys(target.names, self._cache.add(path, part=component.label))
        seconds = round(time.monotonic() - began, 1)
        self._cache.write_record(
            _KIND,
            built_key(component, arch, go),
            {
                "component": component.name,
                "version": component.version,
                "arch": arch,
                "go": go.text,
                "seconds": seconds,
                "files": Cache.file_entries(made),
            },
        )
        self._tell(component, done, total, began, finished=True)
        return made

    def _make_room(self, scratch: Path) -> None:
        build_cache = scratch / "build"
        if _size(build_cache) > _KEEP_CACHE or shutil.disk_usage(scratch).free < _ROOM:
            remove_tree(build_cache)
            remove_tree(scratch / "modules")
        free = shutil.disk_usage(scratch).free
        if free < _ROOM:
            raise ArtifactError(
                f"compiling needs {_ROOM >> 30} GiB free below {scratch.parent}; there are {free / (1 << 30):.1f}",
                step="artifacts from source",
                remedy="free some room, or name another cache folder by KUBEFORGE_CACHE",
            )

    def _tell(
        self, component: Component, done: int, total: int | None, began: float, *, finished: bool = False
    ) -> None:
        spent = time.monotonic() - began
        left = max(0.0, component.seconds - spent) if not total else spent / done * (total - done) if done else None
        self._progress(
            ProgressEvent(
                part=component.label,
                stage=Stage.COMPILE,
                done=done,
                total=total,
                remaining=0.0 if finished else left,
                finished=finished,
            )
        )


def _size(folder: Path) -> int:
    """Return the bytes of all files below a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())
