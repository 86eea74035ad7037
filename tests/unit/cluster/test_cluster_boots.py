"""Whether a host has booted since, and whether its kubelet has reported since."""

from __future__ import annotations

from typing import Any

import pytest

from kubeforge.cluster import boots
from kubeforge.cluster.boots import boot_of, heartbeat, lacks_new_boot, lacks_ready
from kubeforge.errors import ConnectionFailed, DeadlineExceeded, HostKeyRefused
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import MemoryHost
from tests.unit.draining_api import node

ASK = ("sh", "-c", boots._BOOT)


def host(answer: str) -> MemoryHost:
    return MemoryHost("w1", commands={ASK: Completed(0, answer.encode())})


def reported(at: str, *, ready: bool = True) -> Any:
    one = node(ready=ready)
    one["status"]["conditions"][0] |= {"lastHeartbeatTime": at, "message": "container runtime is down"}
    return one


def test_a_boot_is_named_by_the_kernel_and_the_first_process() -> None:
    assert boot_of(host("4f6d-id\n1234\n")) == "4f6d-id 1234"


@pytest.mark.parametrize(("answer", "lacks"), [("id\n1\n", "it has not gone down yet"), ("id\n2\n", None)])
def test_a_new_boot(answer: str, lacks: str | None) -> None:
    """The machine's boot id is the same in a container that was started again."""
    assert lacks_new_boot(lambda: host(answer), "id 1") == lacks


def test_a_host_that_does_not_answer() -> None:
    def gone() -> MemoryHost:
        raise ConnectionFailed("no route to host", host="w1")

    assert lacks_new_boot(gone, "id 1") == "it does not answer: no route to host"


def test_a_connection_that_went_without_a_word_is_closed() -> None:
    class Mute(MemoryHost):
        closed = False

        def run(self, *_: Any, **__: Any) -> Completed:
            raise DeadlineExceeded("the command did not end within 10 s")

        def close(self) -> None:
            self.closed = True

    mute = Mute("w1")
    assert lacks_new_boot(lambda: mute, "id 1") == "it does not answer: the command did not end within 10 s"
    assert mute.closed


def test_something_else_in_its_place_is_no_reason_to_wait() -> None:
    def other() -> MemoryHost:
        raise HostKeyRefused("another key")

    with pytest.raises(HostKeyRefused):
        lacks_new_boot(other, "id 1")


@pytest.mark.parametrize(
    ("given", "since", "lacks"),
    [
        (None, "", "the node is not registered"),
        (reported("10:00"), "", None),
        (reported("10:00"), "10:00", "its kubelet has not reported since"),
        (reported("10:05"), "10:00", None),
        (reported("10:05", ready=False), "10:00", "the node is not Ready: container runtime is down"),
        ({"metadata": {"name": "w1"}}, "", "the node is not Ready: it has not reported yet"),
    ],
)
def test_ready_again(given: Any, since: str, lacks: str | None) -> None:
    assert lacks_ready(given, since) == lacks


def test_heartbeats() -> None:
    assert (heartbeat(reported("10:00")), heartbeat(None)) == ("10:00", "")
