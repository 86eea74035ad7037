"""What this machine sends into a lab's network: every frame on its own link, by source and destination.

Frames that hosts send one another are not ours, though a bridge floods some of them to us: who speaks is told by the
source address. An address that was never looked for (ARP) and never written to was not contacted.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

_EVERYTHING = 0x0003  # ETH_P_ALL
_IPV4, _ARP = 0x0800, 0x0806
_HEADER = 14
_LONGEST = 65535


@dataclass
class Wire:
    """Whom this machine has tried to reach.

    Args:
        own: the machine's address in the lab's network.
        asked: destination -> number of frames, ARP requests among them.
    """

    own: str
    asked: dict[str, int] = field(default_factory=dict)

    def heard(self, frame: bytes) -> None:
        """Note one frame, if it is ours."""
        found = _ends(frame)
        if found is not None and found[0] == self.own:
            self.asked[found[1]] = self.asked.get(found[1], 0) + 1


def _ends(frame: bytes) -> tuple[str, str] | None:
    """Return who sent a frame, and for whom it is; None: it is neither IPv4 nor ARP."""
    if len(frame) < _HEADER + 28:
        return None
    (kind,) = struct.unpack_from("!H", frame, 12)
    if kind == _IPV4:
        source, target = frame[_HEADER + 12 : _HEADER + 16], frame[_HEADER + 16 : _HEADER + 20]
    elif kind == _ARP:
        source, target = frame[_HEADER + 14 : _HEADER + 18], frame[_HEADER + 24 : _HEADER + 28]
    else:
        return None
    return str(ipaddress.IPv4Address(source)), str(ipaddress.IPv4Address(target))


@contextmanager
def watched(link: str, own: str) -> Iterator[Wire]:
    """Listen on a link until the context is left; needs root."""
    wire, done = Wire(own), threading.Event()
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_EVERYTHING)) as listener:
        listener.bind((link, 0))
        listener.settimeout(0.1)

        def listen() -> None:
            while not done.is_set():
                try:
                    wire.heard(listener.recv(_LONGEST))
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen, name="wire", daemon=True)
        thread.start()
        try:
            yield wire
        finally:
            done.set()
            thread.join(5)
