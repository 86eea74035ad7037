"""What people see: one line per finished part where there is no terminal, and the catalogue in three forms."""

from __future__ import annotations

import io
import json
import re

import pytest
import yaml
from rich.console import Console

from kubeforge.artifacts.console import ConsoleProgress, amount, show_rows
from kubeforge.artifacts.listing import Row
from kubeforge.artifacts.model import ProgressEvent, Stage


def shown(*events: ProgressEvent) -> list[str]:
    stream = io.StringIO()
    with ConsoleProgress(Console(file=stream, width=100)) as progress:
        for event in events:
            progress(event)
    seconds = re.compile(r"^ *\d+\.\d s", re.MULTILINE)  # a busy machine takes its time
    return seconds.sub("… s", stream.getvalue()).splitlines()


def test_a_line_for_each_finished_part_and_each_note() -> None:
    lines = shown(
        ProgressEvent(part="kubelet", stage=Stage.DOWNLOAD, done=10, total=10_000_000, remaining=3.0),
        ProgressEvent(part="kubelet", stage=Stage.DOWNLOAD, done=10_000_000, total=10_000_000, finished=True),
        ProgressEvent(part="etcd", stage=Stage.COMPILE, finished=True),
        ProgressEvent(part="artifacts", stage=Stage.NOTE, text="a note [not markup]"),
    )
    assert lines[0].strip() == "… s  fetched kubelet, 10.0 MB"
    assert lines[1].strip() == "… s  compiled etcd"
    assert lines[2] == "artifacts: a note [not markup]"


def test_what_takes_minutes_says_when_it_begins() -> None:
    begun = ProgressEvent(part="etcd", stage=Stage.COMPILE, remaining=25.0)
    lines = shown(begun, begun, ProgressEvent(part="etcd", stage=Stage.COMPILE, finished=True))
    assert [line.strip() for line in lines] == ["compiling etcd, about 25 s …", "… s  compiled etcd"]


def test_bars_on_a_terminal() -> None:
    stream = io.StringIO()
    console = Console(file=stream, width=100, force_terminal=True, legacy_windows=False)
    with ConsoleProgress(console) as progress:
        event = ProgressEvent(part="kubelet", stage=Stage.DOWNLOAD, done=5_000_000, total=10_000_000, remaining=75.0)
        progress(event)
    assert "5.0 MB / 10.0 MB" in stream.getvalue()
    assert "1:15" in stream.getvalue()


def test_amounts() -> None:
    assert amount(Stage.DOWNLOAD, 1_500_000) == "1.5 MB"
    assert amount(Stage.COMPILE, 12) == "12"


ROWS = [
    Row(kubernetes="1.36.3", kind="file", name="kubelet", version="1.36.3", arch="amd64", location="https://u/kubelet"),
    Row(kubernetes="", kind="package", name="socat", version="", location="debian"),
]


def test_rows_in_three_forms(capsys: pytest.CaptureFixture[str]) -> None:
    show_rows(ROWS, "table")
    table = capsys.readouterr().out.splitlines()
    assert table[1].split() == ["1.36.3", "file", "kubelet", "1.36.3", "amd64", "https://u/kubelet"]
    assert table[0].index("NAME") == table[1].index("kubelet")
    show_rows(ROWS, "json")
    as_json = json.loads(capsys.readouterr().out)
    show_rows(ROWS, "yaml")
    assert yaml.safe_load(capsys.readouterr().out) == as_json
    assert as_json[1]["name"] == "socat"
