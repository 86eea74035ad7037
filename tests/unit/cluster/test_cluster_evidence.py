from __future__ import annotations

from kubeforge.cluster import evidence
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import MemoryHost


def host(script: str, *arguments: str, says: str) -> MemoryHost:
    return MemoryHost("w1", commands={("sh", "-c", script, "sh", *arguments): Completed(0, says.encode())})


def test_the_same_complaint_is_told_once_with_its_last_time() -> None:
    says = """
E1121 12:15:31.044191    5667 run.go:72] "command failed" err="x"
E1121 12:15:32.000000    5667 other.go:1] something else
E1121 12:15:33.562211    5677 run.go:72] "command failed" err="x"
"""
    told = evidence.kubelet_log(host(evidence._KUBELET_LOG, "", "12", says=says))
    assert len(told) == 2
    assert told[0].startswith("kubelet: E1121 12:15:33")


def test_long_lines_are_cut_and_empty_ones_left_out() -> None:
    told = evidence.pod_log(
        host(evidence._POD_LOG, "kube-system_etcd-", "12", "2", says="\n\n" + "x" * 5000 + "\n"), "kube-system_etcd-"
    )
    assert [len(line) for line in told] == [400]


def test_what_cannot_be_read_is_said_and_hides_nothing() -> None:
    unreachable = MemoryHost("w1")
    unreachable.unreachable = True
    (told,) = evidence.pod_log(unreachable, "kube-system_etcd-")
    assert told.startswith("(not readable: ")
