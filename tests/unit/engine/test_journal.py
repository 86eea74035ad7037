"""The record of a run: what it holds, what it must never hold, and that old ones go."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubeforge.engine.events import PlayStarted, Warned
from kubeforge.engine.journal import KEEP, Journal, runs_folder
from kubeforge.engine.plan import Plan
from kubeforge.errors import KubeforgeError
from kubeforge.operations.file import File
from kubeforge.secret import Secret

SECRET = b"-----BEGIN PRIVATE KEY-----\nc2VjcmV0IGJ5dGVz\n-----END PRIVATE KEY-----\n"
SECRETS_PLAY = "- {play: Keys, hosts: all, max_failures: 1, tasks: [keys, files.write]}"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KUBEFORGE_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def run(world: Any) -> Any:
    world.task("keys", lambda _: [File(path="/etc/key", content=Secret(SECRET), mode=0o600)])
    with world.session(SECRETS_PLAY, record=True) as session:
        return session.apply(session.plan())


def test_a_run_is_recorded(world: Any, state: Path) -> None:
    result = run(world)
    folder = Path(result.journal)
    assert folder.parent == state / "runs" / "default"
    plan = Plan.from_data(json.loads((folder / "plan.json").read_text()))
    assert plan.changes == 9
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert events[0]["event"] == "RunStarted"
    assert events[-1]["event"] == "RunDone"
    assert sum(event["event"] == "ChangeDone" for event in events) == 9
    assert json.loads((folder / "result.json").read_text())["exit_code"] == 0
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}


def test_no_secret_is_recorded(world: Any, state: Path) -> None:
    """Not even where a failing change prints it."""
    world.hosts["w1"].say["file /etc/key"] = b"cannot write: " + SECRET
    result = run(world)
    assert result.exit_code == 13
    text = b"".join(file.read_bytes() for file in Path(result.journal).iterdir())
    assert b"cannot write" in text
    for word in (SECRET, *SECRET.splitlines(), Secret(SECRET).sha256.encode()):
        assert word not in text
        assert word.decode() not in str(world.events)


def test_old_runs_are_collected(tmp_path: Path) -> None:
    for number in range(KEEP + 3):
        (tmp_path / f"20200101T0000{number:02d}-abcdef").mkdir()
    (tmp_path / "notes").mkdir()
    with Journal(tmp_path, "20260101T000000-abcdef"):
        pass
    left = sorted(entry.name for entry in tmp_path.iterdir())
    assert len(left) == KEEP + 1
    assert left[-2:] == ["20260101T000000-abcdef", "notes"]
    assert left[0] == "20200101T000004-abcdef"


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file")
    with pytest.raises(KubeforgeError) as caught:
        Journal(tmp_path / "runs", "20260101T000000-abcdef")
    assert "KUBEFORGE_STATE" in str(caught.value)


@pytest.mark.parametrize(("cluster", "name"), [("ha", "ha"), ("../x y", "_x_y"), ("..", "default"), ("", "default")])
def test_folder_names(cluster: str, name: str) -> None:
    assert runs_folder(cluster, {"KUBEFORGE_STATE": "/s"}) == Path("/s/runs") / name


def test_a_disk_that_fills_up_ends_no_run(world: Any, state: Path) -> None:
    """The record is lost, the run is not."""

    def fill(event: Any) -> None:
        if isinstance(event, PlayStarted):
            (record,) = [sink for sink in session.events.sinks if isinstance(sink, Journal)]
            record._events.close()
            record._events = Path("/dev/full").open("w")  # noqa: SIM115 - the journal closes it
            (record.path / "result.json").mkdir()

    with world.session("- {play: A, hosts: w1, tasks: [files.write]}", record=True) as session:
        session.events.add(fill)
        result = session.apply(session.plan())
    assert result.exit_code == 0
    assert len(result.done) == 2
    assert [event.message for event in world.of(Warned) if "is not whole" in event.message]
