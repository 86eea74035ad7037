"""A client of the API that never rests: asks and writes, and tells when it got an answer. Run inside a host's network.

    nsenter --net=/proc/PID/ns/net python -m tests.e2e.ha.client SERVER <kubeconfig

It says `answered` as soon as each of its loops has had some answers, and again for every line on its standard input:
some more since that line. When its input ends it prints its whole record as JSON.
"""

from __future__ import annotations

import http.client
import json
import ssl
import sys
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from kubeforge.cluster.credentials import parse_kubeconfig, tls_context

PERIOD = 0.05
PATIENCE = 15.0
"""Seconds; longer than anything a test allows, so that a connection that hangs shows."""
WRITE_PATIENCE = 1.0
"""Seconds; etcd answers a write that was on its way to a leader that died after 7 s only, and never sooner."""
SOME = 20
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"


class Loop(threading.Thread):
    """Does one thing again and again, and records when it went well and how it failed."""

    def __init__(self, name: str, once: Callable[[], object], period: float = PERIOD) -> None:
        super().__init__(name=name, daemon=True)
        self.once = once
        self.period = period
        self.stopped = threading.Event()
        self.good: list[float] = []
        self.bad: list[tuple[float, str]] = []

    def run(self) -> None:
        while not self.stopped.is_set():
            try:
                self.once()
                self.good.append(time.monotonic())
            except (OSError, ssl.SSLError, http.client.HTTPException, RuntimeError) as error:
                self.bad.append((time.monotonic(), f"{type(error).__name__}: {error}"))
            self.stopped.wait(self.period)


class Client:
    """Keeps one connection; a failure ends it, the next request opens another."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext, patience: float = PATIENCE) -> None:
        self.connection = http.client.HTTPSConnection(host, port, timeout=patience, context=context)

    def request(self, method: str, path: str, body: object = None) -> int:
        try:
            text = None if body is None else json.dumps(body)
            self.connection.request(method, path, text, {"Content-Type": "application/json"})
            answer = self.connection.getresponse()
            answer.read()
        except BaseException:
            self.connection.close()
            raise
        if answer.status >= 500 or answer.status == 429:
            raise RuntimeError(f"{method} {path}: {answer.status}")
        return answer.status


class Writer:
    """Writes ConfigMaps, one after the other; a write counts once it was acknowledged."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.number = 0
        self.acknowledged: list[str] = []

    def __call__(self) -> None:
        name = f"written-{self.number}"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        status = self.client.request("POST", CONFIG_MAPS, body)
        if status not in (201, 409):  # 409: it was made, and the answer got lost
            raise RuntimeError(f"{name}: {status}")
        if status == 201:
            self.acknowledged.append(name)
        self.number += 1


def answered(loops: list[Loop]) -> None:
    """Say when each loop has had some more answers than now."""
    enough = [len(loop.good) + SOME for loop in loops]
    while any(len(loop.good) < count for loop, count in zip(loops, enough, strict=True)):
        time.sleep(PERIOD)
    print("answered", flush=True)


def main() -> None:
    url = urlsplit(sys.argv[1])
    line = sys.stdin.readline()
    context = tls_context(parse_kubeconfig(json.loads(line).encode()))

    def client(patience: float = PATIENCE) -> Client:
        return Client(str(url.hostname), url.port or 443, context, patience)

    def anew() -> None:
        fresh = client()
        fresh.request("GET", "/readyz")
        fresh.connection.close()

    kept, writer = client(), Writer(client(WRITE_PATIENCE))
    loops = [
        Loop("new connection", anew),
        Loop("kept connection", lambda: kept.request("GET", "/api/v1/namespaces/default")),
        Loop("writer", writer),
    ]
    for loop in loops:
        loop.start()
    answered(loops)
    for _ in sys.stdin:
        answered(loops)
    for loop in loops:
        loop.stopped.set()
    for loop in loops:
        loop.join(PATIENCE + 1)
    told = {loop.name: {"good": loop.good, "bad": loop.bad} for loop in loops}
    print(json.dumps({"loops": told, "acknowledged": writer.acknowledged}), flush=True)


if __name__ == "__main__":
    main()
