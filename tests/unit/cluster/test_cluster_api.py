"""What the API client must not do to the interpreter."""

from __future__ import annotations

import subprocess
import sys

_RACE = """
import sys, threading
import kubeforge.cluster.api
from lightkube.core import decoders
from lightkube.models.meta_v1 import ObjectMeta
sys.setswitchinterval(1e-6)
together = threading.Barrier(8)
owner = {"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b"}
def first_use():
    together.wait()
    ObjectMeta.from_dict({"name": "c", "labels": {"d": "e"}, "ownerReferences": [owner]})
    decoders.decode_status(b'{"message": "f"}')
threads = [threading.Thread(target=first_use) for _ in range(8)]
for one in threads: one.start()
for one in threads: one.join()
"""


def test_the_first_requests_of_several_threads() -> None:
    """msgspec died of SIGSEGV where several threads used a type for the first time (one time in five)."""
    running = [subprocess.Popen([sys.executable, "-c", _RACE]) for _ in range(8)]
    assert [one.wait() for one in running] == [0] * 8
