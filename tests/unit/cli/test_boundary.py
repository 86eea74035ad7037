"""Every error becomes words on stderr and an exit code; no traceback, whatever happens."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from kubeforge import errors
from kubeforge.cli.boundary import guarded, show_warnings
from kubeforge.errors import InputError, KubeforgeError, Problem


def command_that_raises(error: BaseException) -> click.Command:
    @click.command()
    @click.argument("rest", nargs=-1)
    def command(rest: tuple[str, ...]) -> None:
        raise error

    return command


CODES = {
    errors.KubeforgeError: 1,
    errors.ConnectionFailed: 11,
    errors.HostKeyRefused: 11,
    errors.AuthenticationFailed: 11,
    errors.BecomeFailed: 11,
    errors.ConnectionLost: 11,
    errors.UnfitHost: 12,
    errors.OperationFailed: 13,
    errors.ChangedUnderneath: 13,
    errors.ArtifactError: 14,
    errors.DeadlineExceeded: 15,
    errors.ApiError: 16,
    errors.LabError: 17,
    errors.Locked: 18,
    errors.Interrupted: 130,
}


@pytest.mark.parametrize(("kind", "code"), CODES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_exit_code_by_class(kind: type[KubeforgeError], code: int, capsys: pytest.CaptureFixture[str]) -> None:
    error = kind("the cause", host="w1", step="file /etc/hosts", remedy="do this", evidence=["a log line"])
    assert guarded(command_that_raises(error), [], "kubeforge") == code
    assert capsys.readouterr().err == (
        "error: w1: file /etc/hosts: the cause\n    a log line\n  next: do this\n"
    )  # fmt: skip


def test_input_error_shows_every_problem(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [Problem(message="one", file="a.yml", line=1), Problem(message="two", file="a.yml", line=2, field="x.y")]
    assert guarded(command_that_raises(InputError(problems)), [], "kubeforge") == 10
    assert capsys.readouterr().err == "error: 2 problems in the input\n    a.yml:1: one\n    a.yml:2: x.y: two\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), click.Abort()])
def test_interrupted(error: BaseException, capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(command_that_raises(error), [], "kubeforge") == 130
    assert capsys.readouterr().err.strip() == "interrupted"


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(command_that_raises(click.UsageError("no")), [], "kubeforge") == 64
    assert guarded(command_that_raises(ValueError()), ["--what"], "kubeforge") == 64
    assert "No such option" in capsys.readouterr().err


def test_exit_code_of_a_command() -> None:
    assert guarded(command_that_raises(click.exceptions.Exit(2)), [], "kubeforge") == 2


def test_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("KUBEFORGE_CACHE", str(tmp_path / "cache"))
    assert guarded(command_that_raises(KeyError("spec")), ["password=hunter2"], "kubeforge") == 1
    said = capsys.readouterr().err
    found = re.fullmatch(
        r"error: this is a bug in kubeforge: KeyError: 'spec'\n  next: look at (\S+), and report it with that file\n",
        said,
    )
    assert found, said
    log = Path(found.group(1))
    text = log.read_text()
    assert "Traceback (most recent call last)" in text
    assert "password=…" in text
    assert "hunter2" not in text
    assert log.stat().st_mode & 0o777 == 0o600


def test_bug_where_nothing_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("KUBEFORGE_CACHE", str(tmp_path / "file"))
    assert guarded(command_that_raises(ZeroDivisionError("x\ny")), [], "kubeforge") == 1
    said = capsys.readouterr().err
    assert "this is a bug in kubeforge: ZeroDivisionError: x\n  next: run it again with a writable cache folder" in said


def test_reader_that_goes_away() -> None:
    """`kubeforge schema | head -0` ends quietly."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", "from kubeforge.cli import main; main()", "schema"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")


def test_colour_only_where_it_is_wanted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    show_warnings([Problem(message="odd", warning=True)])
    assert capsys.readouterr().err == "warning: odd\n"
