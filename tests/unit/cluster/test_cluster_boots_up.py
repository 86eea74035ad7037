"""How long a host has been up, by its own word."""

from __future__ import annotations

import subprocess

import pytest

from kubeforge.cluster.boots import seconds_up, started_script


@pytest.mark.parametrize(
    ("answer", "seconds"),
    [
        ("1000.50 25 100\n", 1000.25),
        ("1000.50 100000 100\n", 0.5),
        ("12.00 100000 100\n", None),  # lxcfs tells the container's uptime, the kernel the machine's ticks
        ("1000.50 25 0\n", None),
        ("", None),
        ("cat: /proc/1/stat: Permission denied\n", None),
    ],
)
def test_seconds_up(answer: str, seconds: float | None) -> None:
    assert seconds_up(answer) == seconds


def test_this_machine() -> None:
    told = subprocess.run(["sh", "-c", started_script()], capture_output=True, text=True, check=True).stdout
    up = seconds_up(told)
    assert up is not None
    assert up > 0
