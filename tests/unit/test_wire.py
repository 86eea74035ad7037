"""The listener that proves that nobody contacted a host: what it takes for an attempt."""

from __future__ import annotations

import ipaddress
import struct

import pytest

from tests.e2e.nodes.wire import Wire

OWN, DEAD, OTHER = "10.77.0.254", "10.77.0.11", "10.77.0.12"
MACS = b"\x02" * 12


def packed(address: str) -> bytes:
    return ipaddress.IPv4Address(address).packed


def arp(source: str, target: str) -> bytes:
    """Return a request: who has `target`?"""
    ask = struct.pack("!HHBBH", 1, 0x0800, 6, 4, 1)
    return MACS + b"\x08\x06" + ask + b"\x02" * 6 + packed(source) + b"\x00" * 6 + packed(target) + b"\x00" * 18


def ipv4(source: str, target: str) -> bytes:
    head = b"\x45\x00" + struct.pack("!H", 40) + b"\x00" * 5 + b"\x06\x00\x00" + packed(source) + packed(target)
    return MACS + b"\x08\x00" + head + b"\x00" * 20


@pytest.mark.parametrize("frame", [arp(OWN, DEAD), ipv4(OWN, DEAD)])
def test_looking_for_an_address_is_an_attempt_and_so_is_writing_to_it(frame: bytes) -> None:
    wire = Wire(OWN)
    wire.heard(frame)
    wire.heard(frame)
    assert wire.asked == {DEAD: 2}


@pytest.mark.parametrize(
    "frame", [arp(OTHER, DEAD), ipv4(OTHER, DEAD), ipv4(DEAD, OWN), b"", MACS + b"\x86\xdd" + b"\x00" * 60]
)
def test_what_others_send_is_not_ours(frame: bytes) -> None:
    wire = Wire(OWN)
    wire.heard(frame)
    assert wire.asked == {}
