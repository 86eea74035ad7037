"""Run the go command for one component: its environment, its output in a log, its packages as they are compiled."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Final

from kubeforge.artifacts.components import COMPONENTS_FOLDER, Component, Target
from kubeforge.artifacts.golang import Go
from kubeforge.errors import ArtifactError

__all__ = ["GoBuild", "require_compiler"]

_EVIDENCE: Final = 12
"""Lines of the compiler's output that an error shows."""
_NICENESS: Final = 10
_DROPPED: Final = ("GOOS", "GOROOT", "GOBIN", "GOEXPERIMENT", "GODEBUG", "GOAMD64", "GOARM64", "GOFIPS140")
"""Variables of the user's that would change what comes out; so do CGO_*."""


class GoBuild:
    """The go commands of one component.

    Args:
        component: what is compiled.
        go: the toolchain.
        arch: for which architecture.
        scratch: folder for the module cache, the build cache and temporary files; shared by several components.
        log: file that gets all output.
    """

    def __init__(self, component: Component, *, go: Go, arch: str, scratch: Path, log: Path) -> None:
        self._component = component
        self._go = go
        self._log = log
        self._environment = _environment(go, arch, scratch, cgo=component.cgo)
        for name in ("GOCACHE", "GOMODCACHE", "GOTMPDIR"):
            Path(self._environment[name]).mkdir(parents=True, exist_ok=True)
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_bytes(b"")

    def stale_packages(self) -> int:
        """Fetch the modules and return how many packages must be compiled."""
        packages = [target.package for target in self._component.targets]
        tags = self._component.targets[0].tags
        arguments = ["list", "-deps", *_tags(tags), "-trimpath", "-f", "{{if .Stale}}{{.ImportPath}}{{end}}", *packages]
        return sum(1 for _line in self._run(arguments, stdout=True))

    def build(self, target: Target, output: Path) -> Iterator[str]:
        """Compile one target, yielding each package's import path when it is done.

        Raises:
            ArtifactError: it does not compile.
        """
        output.parent.mkdir(parents=True, exist_ok=True)
        flags = ["-v", "-trimpath", "-buildvcs=false", *_tags(target.tags), "-ldflags", self._component.link_flags]
        yield from self._run(["build", *flags, "-o", str(output), target.package])

    def _run(self, arguments: Sequence[str], *, stdout: bool = False) -> Iterator[str]:
        """Run go, yielding the lines of its stderr, or of its stdout; all of stderr goes to the log."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                [*_mortal(), str(self._go.program), *arguments],
                cwd=COMPONENTS_FOLDER / self._component.folder,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if stdout else log,
                stderr=log if stdout else subprocess.PIPE,
                start_new_session=True,
            )
            with _ended(process):
                with contextlib.suppress(ProcessLookupError):  # it may have ended already
                    os.setpriority(os.PRIO_PROCESS, process.pid, _NICENESS)
                stream = process.stdout if stdout else process.stderr
                assert stream is not None
                yield from _lines(stream, None if stdout else log)
                status = process.wait()
        if status:
            raise ArtifactError(
                f"{self._component.label} does not compile: `go {arguments[0]}` ended with {status}",
                step=f"artifact {self._component.label}",
                evidence=_last_lines(self._log),
                remedy=f"all output is in {self._log}; modules come through GOPROXY (`go env GOPROXY`)",
            )


def require_compiler(component: Component) -> None:
    """Refuse if the C compiler, pkg-config or a library is missing.

    Raises:
        ArtifactError: the message names what to install.
    """
    wanted = {os.environ.get("CC", "gcc").split()[0]: "gcc libc6-dev"}
    if component.libraries:
        wanted["pkg-config"] = "pkg-config"
    missing = {program: package for program, package in wanted.items() if shutil.which(program) is None}
    for library, package in component.libraries:
        if not missing and subprocess.run(["pkg-config", "--exists", library], check=False).returncode:
            missing[library] = package
    if missing:
        packages = [*missing.values(), *(package for _library, package in component.libraries)]
        raise ArtifactError(
            f"{component.label} needs C, and there is no {', '.join(missing)}",
            step=f"artifact {component.label}",
            remedy=f"apt-get install {' '.join(dict.fromkeys(packages))}",
        )


def _environment(go: Go, arch: str, scratch: Path, *, cgo: bool) -> dict[str, str]:
    """Return the user's environment (for proxies) with all that decides about the result set by us."""
    kept = {k: v for k, v in os.environ.items() if k not in _DROPPED and not k.startswith("CGO_")}
    return kept | {
        "GOROOT": str(go.root),
        "GOOS": "linux",
        "GOARCH": arch,
        "GOTOOLCHAIN": "local",
        "GOWORK": "off",
        "GOFLAGS": "-mod=readonly -modcacherw",
        "GOCACHE": str(scratch / "build"),
        "GOMODCACHE": str(scratch / "modules"),
        "GOTMPDIR": str(scratch / "temporary"),
        "GOTELEMETRY": "off",
        "CGO_ENABLED": "1" if cgo else "0",
        "LC_ALL": "C",
    }


def _mortal() -> list[str]:
    """Return a prefix that ends go when we are killed outright; without util-linux, go would end its work first."""
    return ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []


def _tags(tags: str) -> list[str]:
    return ["-tags", tags] if tags else []


def _lines(stream: IO[bytes], log: IO[bytes] | None) -> Iterator[str]:
    """Yield lines, copying them to the log; go's notes on downloads are not packages."""
    for line in stream:
        if log is not None:
            log.write(line)
        if not line.startswith((b"go: ", b"#", b"\t", b" ")):
            yield line.decode("utf-8", "replace").rstrip()


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the process and all that it started if we end first (Ctrl-C)."""
    try:
        yield
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def _last_lines(log: Path) -> list[str]:
    with log.open("rb") as stream:
        return [line.decode("utf-8", "replace").rstrip() for line in deque(stream, _EVIDENCE)]
