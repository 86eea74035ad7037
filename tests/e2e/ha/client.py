"""A client of the API that never rests: asks and writes, and tells when it got an answer. Run inside a host's network.

    nsenter --net=/proc/PID/ns/net python -m tests.e2e.ha.client SERVER [SECONDS] <kubeconfig

SECONDS is how long it waits for the answer to a write; without it, as long as etcd needs to find another leader.

It says `answered` as soon as each of its loops has had some answers, and again for every line on its standard input:
some more since that line. When its input ends it prints its whole record as JSON.
"""

from __future__ import annotations

import http.client
import json
import os
import select
import ssl
import sys
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from kubeforge.cluster.credentials import parse_kubeconfig, tls_context

PERIOD = 0.05
"""Seconds from one request of a loop to its next: each asks 20 times a second."""
PATIENCE = 15.0
"""Seconds; longer than anything a test allows, so that a connection that hangs shows."""
WRITE_PATIENCE = 1.0
"""Seconds; etcd answers a write that was on its way to a leader that died after 7 s only, and never sooner."""
SOME = 20
CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
TOO_MANY = 429
UNAVAILABLE = 503
"""What those hear that came in just before an API server ends (k8s.io/apiserver pkg/server/filters/waitgroup.go)."""


class Loop(threading.Thread):
    """Does one thing again and again, and records when it went well and how it failed."""

    def __init__(self, name: str, once: Callable[[], object]) -> None:
        super().__init__(name=name, daemon=True)
        self.once = once
        self.stopped = threading.Event()
        self.good: list[float] = []
        self.bad: list[tuple[float, str]] = []

    def run(self) -> None:
        due = time.monotonic()
        while not self.stopped.wait(max(0.0, due - time.monotonic())):
            due = max(due + PERIOD, time.monotonic())  # what is late is not made up for: nobody would notice a gap
            try:
                self.once()
                self.good.append(time.monotonic())
            except (OSError, ssl.SSLError, http.client.HTTPException, RuntimeError) as error:
                self.bad.append((time.monotonic(), f"{type(error).__name__}: {error}"))


class Client:
    """Keeps one connection; a failure ends it, the next request opens another.

    What a server does with a kept connection when it ends is not a failure, for clients of Kubernetes follow it without
    a word: it closes one on which nothing is asked, and answers what comes late with "too many requests" or "service
    unavailable" and "retry after". Then nothing was done, and it is asked again at once, once. All are counted.

    A request can be on its way in the moment in which the server closes the connection: HTTP/1.1 cannot prevent that
    (RFC 9112, 9.3.1), and HTTP/2, which components of Kubernetes speak, can. It is asked again, too, once; if the first
    was done after all, the second fails: it is there already, or it is gone. Clients repeat reads by themselves, writes
    seldom: so tests bound how many were cut.
    """

    def __init__(self, host: str, port: int, context: ssl.SSLContext, patience: float = PATIENCE) -> None:
        self.connection = http.client.HTTPSConnection(host, port, timeout=patience, context=context)
        self.closed = 0
        self.sent_on = 0
        self.cut = 0
        self.said = b""  # by the last answer

    def request(self, method: str, path: str, body: object = None, *, kind: str = "application/json") -> int:
        if self._is_closed():
            self.closed += 1
            self.connection.close()
        used = self.connection.sock is not None
        try:
            status, ends = self._asked(method, path, body, kind)
        except (http.client.RemoteDisconnected, ConnectionError):
            if not used:
                raise
            self.cut += 1
            status, ends = self._asked(method, path, body, kind)
        if ends:
            self.sent_on += 1
            self.connection.close()
            status, _ = self._asked(method, path, body, kind)
        if status >= 500 or status == TOO_MANY:
            raise RuntimeError(f"{method} {path}: {status} {self.said.decode(errors='replace')[:300]}")
        return status

    def _asked(self, method: str, path: str, body: object, kind: str) -> tuple[int, bool]:
        """Return the status, and whether the server ends: it did nothing, and says when to come again."""
        try:
            text = None if body is None else json.dumps(body)
            self.connection.request(method, path, text, {"Content-Type": kind})
            answer = self.connection.getresponse()
            self.said = answer.read()
        except BaseException:
            self.connection.close()
            raise
        ends = answer.status == UNAVAILABLE or (answer.status == TOO_MANY and answer.will_close)
        return answer.status, ends and answer.headers["Retry-After"] is not None

    def _is_closed(self) -> bool:
        """Whether the server has closed the connection since its last answer: there is something to read, its end."""
        sock = self.connection.sock
        return sock is not None and bool(select.select([sock], [], [], 0)[0])


class Writer:
    """Writes ConfigMaps, one after the other; a write counts once it was acknowledged."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.number = 0
        self.acknowledged: list[str] = []

    def __call__(self) -> None:
        name = f"written-{os.getpid()}-{self.number}"  # another client may have been here before
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}}
        status = self.client.request("POST", CONFIG_MAPS, body)
        if status not in (201, 409):  # 409: it was made, and the answer got lost
            raise RuntimeError(f"{name}: {status}")
        if status == 201:
            self.acknowledged.append(name)
        self.number += 1


class Changer:
    """Makes a ConfigMap, reads, replaces, patches and deletes it, and begins again with another."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.number = 0
        self.steps: list[tuple[str, str, int]] = []

    def __call__(self) -> None:
        if not self.steps:
            self.number += 1
            self.steps = [("POST", "", 201), *((method, "/", 200) for method in ("GET", "PUT", "PATCH", "DELETE"))]
        method, inside, good = self.steps.pop(0)
        name = f"changed-{os.getpid()}-{self.number}"
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"by": method}}
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        written = body if method in ("POST", "PUT", "PATCH") else None
        try:
            status = self.client.request(method, f"{CONFIG_MAPS}{inside and inside + name}", written, kind=kind)
            if status != good:
                raise RuntimeError(f"{method} {name}: {status}")
        except BaseException:
            self.steps = []  # what became of it nobody knows: another one
            raise


def answered(loops: list[Loop]) -> None:
    """Say when each loop has had some more answers than now."""
    enough = [len(loop.good) + SOME for loop in loops]
    while any(len(loop.good) < count for loop, count in zip(loops, enough, strict=True)):
        time.sleep(PERIOD)
    print("answered", flush=True)


def main() -> None:
    url = urlsplit(sys.argv[1])
    write_patience = float(sys.argv[2]) if len(sys.argv) > 2 else WRITE_PATIENCE
    line = sys.stdin.readline()
    context = tls_context(parse_kubeconfig(json.loads(line).encode()))

    def client(patience: float = PATIENCE) -> Client:
        return Client(str(url.hostname), url.port or 443, context, patience)

    def anew() -> None:
        fresh = client()
        fresh.request("GET", "/api/v1/namespaces/default")
        fresh.connection.close()
        if fresh.sent_on:
            raise RuntimeError("the balancer gave a new connection to a server that was ending")

    kept, writer, changer = client(), Writer(client(write_patience)), Changer(client(write_patience))
    loops = [
        Loop("new connection", anew),
        Loop("kept connection", lambda: kept.request("GET", "/api/v1/namespaces/default")),
        Loop("writer", writer),
        Loop("changer", changer),
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
    clients = (kept, writer.client, changer.client)
    counted = {name: sum(getattr(one, name) for one in clients) for name in ("closed", "sent_on", "cut")}
    print(json.dumps({"loops": told, "acknowledged": writer.acknowledged, **counted}), flush=True)


if __name__ == "__main__":
    main()
