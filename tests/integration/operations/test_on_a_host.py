"""Operations and generations on a real host: systemd, sysctls, mounts, sudo, a host that dies."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

import pytest

from kubeforge.engine.generations import FAREWELL, LEDGER_QUERIES, Ledger, read_ledger, reset, rollback
from kubeforge.errors import ChangedUnderneath, KubeforgeError
from kubeforge.lab.lab import Lab
from kubeforge.operations import Cleared, Command, Directory, File, KernelModule, Listing, Mount, Package, Sysctl, Unit
from kubeforge.operations.listing import parse_listing
from kubeforge.operations.model import Observation, Operation, Queries, fold
from kubeforge.spec import paths
from kubeforge.transport.protocol.note import interrupted_in
from kubeforge.transport.remote import ShellRemote

pytestmark = pytest.mark.lab

Enter = Callable[[str], ShellRemote]
UNIT = b"""[Unit]
Description=kubeforge integration test
[Service]
ExecStart=/bin/sleep 1000
[Install]
WantedBy=multi-user.target
"""
CONF, FILE = "file /etc/kfit/deep/conf", "file /etc/systemd/system/kfit.service"


def operations(conf: bytes = b"1\n", unit: bytes = UNIT) -> list[Operation]:
    return [
        Directory(path="/etc/kfit/deep", mode=0o700),
        File(path="/etc/kfit/deep/conf", content=conf, mode=0o600),
        File(path="/etc/systemd/system/kfit.service", content=unit),
        Unit(name="kfit.service", listens=(CONF, FILE)),
        KernelModule(name="overlay"),
        Sysctl(name="net.ipv4.ip_forward", value="1"),
        Directory(path="/mnt/kfit"),
        Mount(path="/mnt/kfit", source="kfit", fstype="tmpfs", options=("nosuid", "mode=0755")),
        Package(name="coreutils"),
    ]


def look(remote: ShellRemote, listed: Sequence[Operation]) -> Observation:
    return remote.observe(Queries.merge(operation.observe() for operation in listed))


def apply(remote: ShellRemote, listed: Sequence[Operation], run_id: str) -> list[str]:
    seen = look(remote, listed)
    results = remote.act(fold(listed, seen)[0], seen, run_id=run_id)
    assert [result for result in results if result.status != 0] == []
    return [result.title for result in results]


def ledger(remote: ShellRemote) -> Ledger:
    return read_ledger(remote.observe(LEDGER_QUERIES))


@pytest.mark.parametrize("user", ["root", "ops"])
def test_applied_twice_changed_and_taken_back(enter: Enter, user: str) -> None:
    remote = enter(user)
    before = look(remote, operations())
    assert len(apply(remote, operations(), "run-1")) == 7
    assert apply(remote, operations(), "run-x") == []
    assert apply(remote, operations(b"2\n"), "run-2") == [CONF, "unit kfit.service"]
    assert apply(remote, operations(b"2\n", UNIT + b"#\n"), "run-3") == [FILE, "unit kfit.service"]
    assert apply(remote, operations(b"2\n", UNIT + b"#\n"), "run-x") == []

    apply(remote, rollback(ledger(remote)), "back")
    assert remote.read("/etc/systemd/system/kfit.service") == UNIT
    assert apply(remote, operations(b"2\n"), "run-x") == []
    apply(remote, reset(ledger(remote)), "reset")
    remote.run(FAREWELL)
    after = look(remote, operations())
    assert after.units == before.units
    assert (after.sysctls, after.mounts, after.modules) == (before.sysctls, before.mounts, before.modules)
    assert [path for path, entry in after.paths.items() if (entry is None) != (before.paths[path] is None)] == []
    assert remote.run(("test", "-e", paths.STATE), expect=(0, 1)).status == 1


def test_an_owed_restart_is_made_good(enter: Enter) -> None:
    """A run that was cut off after the file and before the restart."""
    remote = enter("root")
    apply(remote, operations(), "run-1")
    time.sleep(1.1)  # times of modification and of units have whole seconds
    apply(remote, [File(path="/etc/kfit/deep/conf", content=b"2\n", mode=0o600)], "run-2")
    assert apply(remote, operations(b"2\n"), "run-3") == ["unit kfit.service"]
    assert apply(remote, operations(b"2\n"), "run-x") == []
    remote.run(("systemctl", "stop", "kfit.service"))
    seen = look(remote, operations(b"2\n"))
    changes = fold(operations(b"2\n"), seen)[0]
    remote.run(("systemctl", "start", "kfit.service"))
    with pytest.raises(ChangedUnderneath, match=r"unit kfit\.service"):
        remote.act(changes, seen, run_id="run-4")
    apply(remote, reset(ledger(remote)), "reset")
    remote.run(FAREWELL)


def test_what_has_ended_meanwhile_is_stopped_and_restarted_all_the_same(enter: Enter) -> None:
    """As a service without its data does again and again: there is never a moment in which it stays as it was seen."""
    remote = enter("root")
    apply(remote, operations(), "run-1")
    stopped = [Unit(name="kfit.service", enabled=None, state="stopped")]
    for listed in (operations(unit=UNIT + b"#\n"), stopped):
        seen = look(remote, listed)
        remote.run(("systemctl", "kill", "-s", "KILL", "kfit.service"))
        wait_until(lambda: remote.run(("systemctl", "is-failed", "kfit.service"), expect=(0, 1)).status == 0)
        results = remote.act(fold(listed, seen)[0], seen, run_id="run-2")
        assert [result.status for result in results if result.title == "unit kfit.service"] == [0]
    assert apply(remote, stopped, "run-x") == []
    apply(remote, reset(ledger(remote)), "reset")
    remote.run(FAREWELL)


def test_a_disk_of_its_own_is_cleared_and_stays_mounted(enter: Enter) -> None:
    """A directory of Kubernetes that is a mount point, then or since; what is mounted below is not ours."""
    remote = enter("root")
    land, below = "/mnt/kfit-land", "/mnt/kfit-land/mine"

    def left() -> list[str]:
        return sorted(remote.run(("find", land, "-mindepth", "1")).stdout.decode().split())

    remote.run(("mkdir", "-p", land))
    remote.run(("mount", "-t", "tmpfs", "kfit", land))
    try:
        remote.run(("mkdir", below))
        remote.run(("mount", "-t", "tmpfs", "kfit", below))
        remote.run(("touch", f"{below}/x"))
        apply(remote, [Listing(path="/run/kfit-list", trees=(land,))], "run-1")
        stays = parse_listing(remote.read("/run/kfit-list"))
        assert set(stays) == {land, below}
        remote.run(("sh", "-c", f"mkdir {land}/new; touch {land}/new/x {below}/y"))
        apply(remote, [Cleared(path=land, stays=stays)], "run-2")
        assert left() == [below, f"{below}/x", f"{below}/y"]
        seen = look(remote, [Cleared(path=land)])
        [result] = remote.act(fold([Cleared(path=land)], seen)[0], seen, run_id="run-3")
        assert result.status != 0
        assert b"kfit-land/mine" in result.output
        assert f"{below}/x" in left(), "nothing is removed across a mount point"
        remote.run(("umount", below))
        apply(remote, [Cleared(path=land)], "run-4")
        assert left() == []
        assert remote.run(("mountpoint", "-q", land), expect=(0, 32)).status == 0
    finally:
        remote.run(("sh", "-c", f"umount -q {below}; umount {land}; rm -r {land} /run/kfit-list; rm -rf {paths.STATE}"))
    assert apply(remote, [Cleared(path=land)], "run-5") == []


def test_a_host_that_dies_half_way(lab: Lab, enter: Enter) -> None:
    """Power cut in the middle of an act: the note says how far it came, and the next run goes on."""
    remote = enter("root")
    steps: list[Operation] = [
        File(path="/etc/kfit-1", content=b"1"),
        Command(argv=("sleep", "300"), creates="/etc/kfit-2", name="slow"),
        File(path="/etc/kfit-3", content=b"3"),
    ]
    failed: list[KubeforgeError] = []

    def act() -> None:
        try:
            apply(remote, steps, "run-1")
        except KubeforgeError as error:
            failed.append(error)

    thread = threading.Thread(target=act)
    thread.start()
    other = enter("root")
    wait_until(lambda: other.run(("test", "-e", "/etc/kfit-1"), expect=(0, 1)).status == 0)
    other.run(("sync",))
    lab.host("cp1").kill()
    lab.host("cp1").start()
    again = enter("root")
    found = interrupted_in(again.observe(Queries(reads=(paths.RUN_NOTE,))))
    assert found is not None
    assert (found.run_id, found.done, found.doubtful) == ("run-1", ("file /etc/kfit-1",), "command slow")
    steps[1] = Command(argv=("touch", "/etc/kfit-2"), creates="/etc/kfit-2", name="slow")
    assert apply(again, steps, "run-2") == ["command slow", "file /etc/kfit-3"]
    left = again.run(("sh", "-c", f"ls -d {paths.STATE}/act.* 2>/dev/null || true")).stdout
    assert left == b""
    apply(again, reset(ledger(again)), "reset")
    thread.join(120)
    assert failed
    assert failed[0].host == "cp1"


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "condition did not come true"
        time.sleep(0.1)
