"""Refusals name what is missing and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from kubeforge.errors import LabError
from kubeforge.lab import preflight
from kubeforge.lab.lab import Lab
from kubeforge.lab.removal import choose


def test_missing_tools_name_their_packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError, match="not installed: mmdebstrap, ip") as caught:
        preflight.need_tools("mmdebstrap", "ip")
    assert caught.value.remedy == "apt-get install iproute2 mmdebstrap"


def test_which_lab_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBEFORGE_LABS", str(tmp_path))
    with pytest.raises(LabError, match="no lab is up"):
        Lab.find()
    with pytest.raises(LabError, match="there is no lab 'x'"):
        Lab.find("x")
    with pytest.raises(LabError, match="there is no lab"):
        choose(None)
    (tmp_path / "one").mkdir()
    assert choose(None) == "one"
    (tmp_path / "two").mkdir()
    with pytest.raises(LabError, match="several labs: one, two"):
        choose(None)
    assert choose("two") == "two"
