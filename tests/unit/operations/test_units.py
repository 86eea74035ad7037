"""Unit: every state of a unit, and what makes it restart."""

from __future__ import annotations

import stat
from dataclasses import replace
from typing import Any

import pytest

from kubeforge.errors import Unreadable
from kubeforge.operations import Directory, File, Restart, Unit
from kubeforge.operations.model import Entry, Observation, UnitState, Verb, fold

NAME = "x.service"
GOOD = UnitState("loaded", "active", "enabled", since=1000)
NEW = UnitState()
IDLE = UnitState("loaded", "inactive", "disabled")


def decided(state: UnitState, changed: tuple[str, ...] = (), /, **unit: Any) -> tuple[list[str], str, Verb] | None:
    operation = Unit(name=NAME, **unit)
    seen = Observation(
        units={NAME: state}, changed=frozenset(changed), paths={"/etc/x": Entry(stat.S_IFREG | 0o644, modified=900)}
    )
    change = operation.decide(seen)
    if change is None:
        return None
    assert operation.decide(Observation(units=change.effect.units, paths=seen.paths)) is None, "twice"
    ends = change.lines[-1].startswith(("systemctl stop", "systemctl restart"))
    assert change.guard.units == (() if ends else (NAME,)), "one that ends again and again is in no state for long"
    return (
        [line.removeprefix("systemctl ").replace(f"-- {NAME}", "_") for line in change.lines],
        change.why,
        change.verb,
    )


@pytest.mark.parametrize(
    ("state", "unit", "expected"),
    [
        (GOOD, {}, None),
        (NEW, {}, (["--no-reload enable _", "daemon-reload", "start _"], "is not enabled, is inactive", Verb.START)),
        (NEW, {"enabled": False, "state": "stopped"}, None),
        (NEW, {"enabled": None, "state": None}, None),
        (IDLE, {}, (["enable _", "start _"], "is not enabled, is inactive", Verb.START)),
        (IDLE, {"enabled": None}, (["start _"], "is inactive", Verb.START)),
        (IDLE, {"state": None}, (["enable _"], "is not enabled", Verb.UPDATE)),
        (GOOD, {"state": "stopped"}, (["stop _"], "is active", Verb.STOP)),
        (
            GOOD,
            {"state": "stopped", "enabled": False},
            (["disable _", "stop _"], "is enabled, is active", Verb.STOP),
        ),
        (
            UnitState("loaded", "failed", "enabled"),
            {},
            (["reset-failed _", "start _"], "has failed, is failed", Verb.START),
        ),
        (UnitState("loaded", "activating", "enabled"), {}, None),
        (UnitState("loaded", "active", "static"), {}, None),
        (UnitState("loaded", "active", "enabled-runtime"), {}, (["enable _"], "is not enabled", Verb.UPDATE)),
        (UnitState("loaded", "active", "enabled", True), {}, (["daemon-reload"], "its unit file changed", Verb.UPDATE)),
        (UnitState("masked", "inactive", "masked"), {"masked": True, "enabled": None, "state": None}, None),
        (UnitState("masked", "inactive", "masked"), {"enabled": False, "state": "stopped"}, None),
        (
            GOOD,
            {"masked": True, "enabled": None, "state": "stopped"},
            (["mask _", "stop _"], "is not masked, is active", Verb.STOP),
        ),
        (
            UnitState("masked", "inactive", "masked"),
            {"masked": False},
            (["unmask _", "enable _", "start _"], "is masked, is not enabled, is inactive", Verb.START),
        ),
    ],
)
def test_decides(state: UnitState, unit: dict[str, Any], expected: tuple[list[str], str, Verb] | None) -> None:
    assert decided(state, **unit) == expected


def test_restarts_when_what_it_listens_to_changed() -> None:
    listens = ("file /etc/x", "file /etc/systemd/system/x.service.d/1.conf")
    assert decided(GOOD, listens=listens) is None
    assert decided(GOOD, ("file /etc/other",), listens=listens) is None
    assert decided(GOOD, ("file /etc/x",), listens=listens) == (["restart _"], "changed: file /etc/x", Verb.RESTART)
    reloaded = decided(GOOD, listens[1:], listens=listens)
    assert reloaded is not None
    assert reloaded[0] == ["daemon-reload", "restart _"]
    started = decided(UnitState("loaded", "inactive", "enabled"), ("file /etc/x",), listens=listens)
    assert started == (["start _"], "is inactive", Verb.START)
    assert decided(GOOD, ("file /etc/x",), listens=listens, state="stopped") == (["stop _"], "is active", Verb.STOP)
    assert decided(GOOD, ("file /etc/x",), listens=listens, state=None, enabled=None) is not None


def test_its_own_file_is_read_again_without_listening() -> None:
    own = ("file /etc/systemd/system/x.service",)
    assert decided(GOOD, own) == (["daemon-reload"], "its unit file changed", Verb.UPDATE)


def test_a_restart_that_a_cut_off_run_owes_is_made_good() -> None:
    """The file is younger than the running unit, although nothing changes any more."""
    running_since_800 = UnitState("loaded", "active", "enabled", since=800)
    owed = decided(running_since_800, listens=("file /etc/x",))
    assert owed == (["restart _"], "older than /etc/x", Verb.RESTART)
    assert decided(GOOD, listens=("file /etc/x",)) is None
    assert decided(UnitState("loaded", "active", "enabled"), listens=("file /etc/x",)) is None
    assert decided(running_since_800, listens=("directory /etc/x",)) is None
    assert Unit(name=NAME, listens=("file /etc/x", "image y")).observe().stats == ("/etc/x",)


def test_restarts_in_a_fold() -> None:
    file, unit = File(path="/etc/x", content=b"1"), Unit(name=NAME, listens=("file /etc/x",))
    folder = Directory(path="/etc")
    seen = Observation(
        paths={"/etc": Entry(stat.S_IFDIR | 0o755), "/etc/x": None}, hashes={"/etc/x": None}, units={NAME: GOOD}
    )
    changes, after = fold([folder, file, unit, unit], seen)
    assert [change.title for change in changes] == [file.title, unit.title, unit.title]
    # the second restart is asked for by the same change: one Unit per unit and batch is the way
    assert fold([unit], Observation(paths=after.paths, units=after.units))[0] == []


def test_no_answer_is_not_stopped() -> None:
    with pytest.raises(Unreadable, match="systemd gave no answer"):
        decided(UnitState(load="unknown"))


def test_a_masked_unit_is_not_started_by_the_way() -> None:
    """Systemctl would refuse it, half-way through the run."""
    masked = Observation(units={"x.service": UnitState("masked", "inactive", "masked")}, paths={"/etc/y": None})
    for operation in (
        Unit(name="x.service"),
        Unit(name="x.service", enabled=True, state=None),
        Unit(name="x.service", enabled=None),
        Restart(name="x.service"),
        Restart(name="x.service", how="reload"),
    ):
        with pytest.raises(Unreadable, match="is masked") as caught:
            operation.decide(masked)
        assert "service.masked: {name: x.service, masked: no}" in str(caught.value.remedy)
    unmasking = Unit(name="x.service", enabled=None, state=None, masked=False)
    assert [change.verb for change in fold([unmasking, Unit(name="x.service")], masked)[0]] == [Verb.UPDATE, Verb.START]
    own = replace(masked, changed=frozenset({"file /etc/systemd/system/x.service"}))
    assert Unit(name="x.service").decide(own) is not None, "its file takes the mask's place"
