"""Passwords that are asked for; on real terminals: tests/integration/cli/test_terminal.py."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import click
import pytest

from kubeforge.cli.passwords import Asked, entering
from kubeforge.inventory.model import Connection, Host, Inventory
from kubeforge.secret import Secret


def inventory(**hosts: Connection) -> Inventory:
    return Inventory(hosts={name: Host(name=name, connection=each) for name, each in hosts.items()}, groups={})


HOST = Connection(address="192.0.2.1")
ALL = inventory(
    plain=HOST,
    own=replace(HOST, password=Secret("p"), become_password=Secret("b")),
    here=replace(HOST, kind="local"),
)


def passwords_of(found: Inventory) -> dict[str, tuple[Any, Any]]:
    def plain(secret: Secret | None) -> str | None:
        return secret.reveal().decode() if secret else None

    return {
        name: (plain(host.connection.password), plain(host.connection.become_password))
        for name, host in found.hosts.items()
    }


def test_what_the_inventory_says_wins() -> None:
    assert passwords_of(ALL.with_passwords(login=Secret("x"), become=Secret("y"))) == {
        "plain": ("x", "y"),
        "own": ("p", "b"),
        "here": (None, None),
    }
    assert ALL.with_passwords() == ALL


def test_nothing_is_asked_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", open("/dev/null"))  # noqa: PTH123, SIM115 - closed below
    with sys.stdin, pytest.raises(click.UsageError, match="standard input is none"), entering(ALL, Asked(become=True)):
        pass


@pytest.mark.parametrize(
    ("asked", "typed", "expected"),
    [
        (Asked(login=True), {"SSH password: ": "x"}, ("x", None)),
        (Asked(become=True), {"sudo password: ": "y"}, (None, "y")),
        (Asked(login=True, become=True), {"SSH password: ": "x", "sudo password [the SSH password]: ": ""}, ("x", "x")),
        (
            Asked(login=True, become=True),
            {"SSH password: ": "x", "sudo password [the SSH password]: ": "y"},
            ("x", "y"),
        ),
        (Asked(login=True), {"SSH password: ": ""}, (None, None)),
        (Asked(), {}, (None, None)),
    ],
)
def test_what_is_asked(
    monkeypatch: pytest.MonkeyPatch, asked: Asked, typed: dict[str, str], expected: tuple[Any, Any]
) -> None:
    left = dict(typed)
    monkeypatch.setattr("getpass.getpass", left.pop)
    monkeypatch.setattr("termios.tcgetattr", lambda _: [])
    monkeypatch.setattr("termios.tcsetattr", lambda *_: None)
    monkeypatch.setattr("sys.stdin", Keyboard())
    with entering(ALL, asked) as (known, _):
        assert passwords_of(known)["plain"] == expected
    assert left == {}


class Keyboard:
    """Standard input that is a terminal."""

    def isatty(self) -> bool:
        return True

    def fileno(self) -> int:
        return 0
