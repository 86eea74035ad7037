"""A host that is a folder of this machine, driven by real shells, as root and as nobody."""

from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kubeforge.operations.model import Change, Observation, Operation, Queries, Result, fold
from kubeforge.transport.local import LocalTransport
from kubeforge.transport.remote import ShellRemote

SHELLS = [shell for shell in ("dash", "bash", "busybox") if shutil.which(shell)]
ROOT = os.geteuid() == 0
USERS = ["root", "nobody"] if ROOT and shutil.which("setpriv") else [pwd.getpwuid(os.geteuid()).pw_name]


# Debian's busybox prefers its own stat, tar and cp, which hosts are not asked to have: only its shell is meant here.
ASH = r"""#!/bin/sh
f=; for p in stat sha256sum tar cp mv rm mkdir mktemp timeout tail head ln chmod chown touch find sort comm xargs; do
  f="$f$p() { /usr/bin/env $p \"\$@\"; }
"; done
case $1 in
  -c) s=$2; shift 2; exec busybox sh -c "$f$s" "$@" ;;
  -e) exec busybox sh -ec "$f. $2" ;;
  *) s=$1; shift; exec busybox sh -c "$f. $s" "$s" "$@" ;;
esac
"""


@dataclass
class Host:
    """One host below `place`; `owner` and `group` are those whom its files shall belong to."""

    place: Path
    remote: ShellRemote
    transport: LocalTransport
    owner: str
    group: str
    run_id: str = "r1"
    seen: Observation = field(default_factory=Observation)

    @property
    def state(self) -> Path:
        return self.place / "state"

    @property
    def note(self) -> bytes:
        return (self.state / "run").read_bytes()

    def plan(self, operations: Sequence[Operation]) -> list[Change]:
        self.seen = self.remote.observe(Queries.merge(operation.observe() for operation in operations))
        return fold(operations, self.seen)[0]

    def act(self, changes: Sequence[Change], run_id: str | None = None) -> list[Result]:
        return self.remote.act(changes, self.seen, run_id=run_id or self.run_id)

    def apply(self, operations: Sequence[Operation], run_id: str | None = None) -> list[str]:
        """Titles of what was changed; all of it must have gone well."""
        results = self.act(self.plan(operations), run_id)
        assert [result for result in results if result.status != 0] == []
        return [result.title for result in results]

    def path(self, name: str) -> str:
        return f"{self.place}/{name}"


def make(shell: str, user: str, place: Path) -> Host:
    account = pwd.getpwnam(user)
    place.chmod(0o755)
    prefix: tuple[str, ...] = ()
    if ROOT:
        os.chown(place, account.pw_uid, account.pw_gid)
        if user != "root":
            prefix = ("setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")
    transport = LocalTransport("here", prefix=prefix)
    if shell == "busybox":
        shell = f"{place}.ash"
        Path(shell).write_text(ASH)
        Path(shell).chmod(0o755)
    remote = ShellRemote(transport, state=f"{place}/state", shell=shell)
    return Host(place, remote, transport, user, str(account.pw_gid))


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter, which pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="kf-unit-"))
    yield folder
    shutil.rmtree(folder)
    Path(f"{folder}.ash").unlink(missing_ok=True)


# all pairs would take three times as long and find no more
PAIRS = [(shell, USERS[(index + 1) % len(USERS)]) for index, shell in enumerate(SHELLS)]


@pytest.fixture(params=PAIRS, ids=lambda pair: f"{pair[0]}-{pair[1]}")
def every_host(request: pytest.FixtureRequest, place: Path) -> Host:
    """Every shell of this machine, in turn as nobody and as root."""
    shell, user = request.param
    return make(shell, user, place)


@pytest.fixture
def host(place: Path) -> Host:
    """The first shell, as whoever runs the tests."""
    return make(SHELLS[0], USERS[0], place)
