"""Faults that are really made: a lab of its own per file, and the command as a user runs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from kubeforge.engine.journal import UNBEGUN
from kubeforge.lab.lab import Lab
from kubeforge.lab.removal import remains, remove

FORGE = Path(sys.executable).parent / "kubeforge"
LABS = Path("/var/lib/kubeforge")
LONGEST = 300.0


@dataclass(frozen=True)
class Said:
    """What a run of the command left: exit code, output."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return f"exit {self.code}\n--- stdout\n{self.out[-6000:]}\n--- stderr\n{self.err[-6000:]}"

    def check(self, code: int, *words: str) -> Said:
        """Fail unless it ended with `code` and said every one of `words`; nothing may ever say more than it should."""
        assert "Traceback" not in self.out + self.err, self.text
        assert "bug in kubeforge" not in self.err, self.text
        assert "a fault in the code" not in self.out + self.err, self.text
        assert self.code == code, self.text
        said = " ".join((self.out + self.err).split())
        missing = [word for word in words if " ".join(word.split()) not in said]
        assert not missing, f"not said: {missing}\n{self.text}"
        return self

    def names(self, host: str, step: str, cause: str, remedy: str) -> Said:
        """Fail unless one message names host, step, cause and what to do next, in that order."""
        lines = (self.out + self.err).splitlines()
        starts = [number for number, line in enumerate(lines) if f"{host}: {step}" in line and "warning" not in line]
        for start in starts:
            end = next((n for n in range(start, len(lines)) if lines[n].startswith("  next: ")), None)
            message = "\n".join(lines[start : end + 1]) if end is not None else ""
            if cause in message and remedy in message.rpartition("  next: ")[2]:
                return self
        pytest.fail(f"no message names {host}, {step}, {cause!r} and {remedy!r}\n{self.text}")


@dataclass(frozen=True)
class Forge:
    """The command, on one lab.

    Args:
        lab: the hosts.
        inventory: the folder that -i names.
        state: where runs are recorded.
        environment: beside the caller's.
    """

    lab: Lab
    inventory: Path
    state: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def argv(self, verb: str, *words: str) -> list[str]:
        return [str(FORGE), *verb.split(), "-i", str(self.inventory), *words]

    @property
    def variables(self) -> dict[str, str]:
        return {**os.environ, "KUBEFORGE_STATE": str(self.state), "COLUMNS": "160", **self.environment}

    def run(self, verb: str, *words: str) -> Said:
        argv = self.argv(verb, *words)
        done = subprocess.run(
            argv,
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
            env=self.variables,
            timeout=LONGEST,
        )
        said = Said(done.returncode, done.stdout, done.stderr)
        return said.check(said.code)

    def apply(self, *words: str) -> Said:
        return self.run("apply", "--yes", *words)

    def good(self) -> None:
        """Fail unless an apply ends well, every node is Ready, and a second apply has nothing to do."""
        first = self.apply()
        first.check(0)
        self.ready()
        self.run("plan", "--detailed-exitcode").check(0, "No changes.")

    def ready(self) -> None:
        states = {
            item["metadata"]["name"]: next(c["status"] for c in item["status"]["conditions"] if c["type"] == "Ready")
            for item in json.loads(self.kubectl("get", "nodes", "-o", "json"))["items"]
        }
        assert states == {host.name: "True" for host in self.lab.hosts if host.role in ("cp", "worker")}

    def kubectl(self, *words: str, stdin: str | None = None) -> str:
        """Return what kubectl says; a failure fails the test."""
        done = subprocess.run(
            self.argv("kubectl", "--", *words),
            capture_output=True,
            text=True,
            check=False,
            env=self.variables,
            timeout=LONGEST,
            **({"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}),
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @contextmanager
    def started(self, *words: str) -> Iterator[Started]:
        """Start an apply that answers itself; whatever is left of it in the end is killed."""
        with self.starting("apply", *words) as run:
            yield run

    @contextmanager
    def starting(self, verb: str, *words: str) -> Iterator[Started]:
        """Start a verb that answers itself; whatever is left of it in the end is killed."""
        known = set(self.runs())
        with (
            tempfile.TemporaryFile("w+") as out,
            tempfile.TemporaryFile("w+") as err,
            subprocess.Popen(
                self.argv(verb, "--yes", *words),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=self.variables,
                start_new_session=True,
            ) as child,
        ):
            try:
                yield Started(self, child, out, err, known)
            finally:
                child.kill()

    def runs(self) -> list[Path]:
        """Return the recorded runs that had anything to do and were not refused, oldest first."""
        return sorted(run for run in self.state.glob("runs/*/*") if not (run / UNBEGUN).exists())

    def with_hosts(self, folder: Path, change: Callable[[dict[str, Any]], object]) -> Forge:
        """Return the same with a hosts.yml that `change` has changed."""
        return self._with(folder, "hosts.yml", change)

    def with_spec(self, folder: Path, change: Callable[[dict[str, Any]], object]) -> Forge:
        """Return the same with a cluster.yml that `change` has changed."""
        return self._with(folder, "cluster.yml", change)

    def _with(self, folder: Path, name: str, change: Callable[[dict[str, Any]], object]) -> Forge:
        shutil.copytree(self.inventory, folder / "inventory")
        file = folder / "inventory" / name
        data = yaml.safe_load(file.read_text())
        change(data)
        file.write_text(yaml.safe_dump(data, sort_keys=False))
        return replace(self, inventory=folder / "inventory")

    def sh(self, host: str, script: str) -> str:
        """Run a script as root on a host, past SSH."""
        return self.lab.host(host).run(("sh", "-euc", script)).stdout

    def untouched(self) -> bool:
        """Whether no host has been changed."""
        return all("absent" in self.sh(host.name, _TOUCHED) for host in self.lab.hosts)


_TOUCHED = "[ -e /var/lib/kubeforge/generations ] || [ -e /usr/local/bin/kubelet ] || echo absent"


@dataclass(frozen=True)
class Started:
    """An apply that runs."""

    forge: Forge
    child: subprocess.Popen[bytes]
    out: Any
    err: Any
    known: set[Path]

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it has recorded so far; a last line that is half written is left out."""
        new = [run for run in self.forge.runs() if run not in self.known]
        file = new[0] / "events.jsonl" if new else None
        if file is None or not file.exists():
            return []
        return [json.loads(line) for line in file.read_text().splitlines(keepends=True) if line.endswith("\n")]

    def until(self, what: Callable[[], object], *, within: float = 120.0) -> None:
        """Wait for a condition; fail where the apply ends before."""
        end = time.monotonic() + within
        while not what():
            assert self.child.poll() is None, f"it ended before\n{self.said().text}"
            assert time.monotonic() < end, f"not within {within:.0f} s\n{self.said().text}"
            time.sleep(0.01)

    def step(self, event: str, host: str, step: str) -> bool:
        """Whether this event was recorded."""
        return any(
            each["event"] == event and each.get("host") == host and step in each.get("step", "") for each in self.events
        )

    def send(self, number: signal.Signals) -> None:
        self.child.send_signal(number)

    def ended(self) -> Said:
        self.child.wait(LONGEST)
        said = self.said()
        return said.check(said.code)

    def said(self) -> Said:
        texts = []
        for file in (self.out, self.err):
            file.seek(0)
            texts.append(file.read())
        return Said(self.child.returncode if self.child.returncode is not None else -1, *texts)


@pytest.fixture(scope="module")
def forge(request: pytest.FixtureRequest) -> Iterator[Forge]:
    """A bare lab of one control plane and one worker, and the command on it."""
    if os.geteuid() != 0:
        pytest.skip("labs need root")
    LABS.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="faults-", dir=LABS))
    name = request.module.__name__.rpartition("test_")[2].replace("_", "-")
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("KUBEFORGE_LABS", str(folder))
            try:
                with Lab.up(name, control_planes=1, workers=1) as lab:
                    yield Forge(lab, lab.inventory, folder / "state")
            finally:
                for left in remains():
                    remove(left)
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def on_host(forge: Forge) -> Callable[[str, str, str], Any]:
    """Return `on_host(name, make, mend)`: a context in which `make` has been done to a host, and then `mend`."""

    @contextmanager
    def doctored(host: str, make: str, mend: str) -> Iterator[None]:
        forge.sh(host, make)
        try:
            yield
        finally:
            forge.sh(host, mend)

    return doctored


def variables(data: dict[str, Any], changes: Mapping[str, Any]) -> None:
    """Change what all hosts have in common."""
    data["all"]["vars"].update(changes)
