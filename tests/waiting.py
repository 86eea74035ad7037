"""What hosts of the lab are told to wait for."""

from __future__ import annotations


def listening(port: int) -> str:
    """Return the text of a shell that ends when something listens at a TCP port of its host, within 10 s."""
    return f"timeout 10 sh -c 'until ss -Hltn sport = :{port} | grep -q .; do sleep 0.05; done'"
