"""Reset takes away what came with the cluster, and nothing that was there before it."""

from __future__ import annotations

import stat
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

from kubeforge.engine.conversation import Conversation
from kubeforge.engine.events import Events
from kubeforge.errors import Unreadable
from kubeforge.operations.cleared import Cleared
from kubeforge.operations.model import Entry, Observation, Operation, Queries
from kubeforge.operations.restore import Steps
from kubeforge.pki.certificates import Identity, request, row
from kubeforge.pki.issue import authority, new_keys
from kubeforge.spec.model import KeyAlgorithm
from kubeforge.spec.paths import (
    BEFORE,
    CNI_CONF,
    CONTAINERD_DATA,
    CONTAINERD_STORE,
    ETCD_DATA,
    KUBELET,
    KUBELET_CONF,
    KUBELET_PLUGINS,
    KUBERNETES,
    LEDGER,
    PKI,
    STATE,
)
from kubeforge.spec.runtime import RUNTIME_DIRECTORIES, Depth
from kubeforge.tasks import before, etcd, kubelet, pki, reset, runtime
from kubeforge.tasks.remark import Remark

Make = Callable[..., Any]
ECDSA = {"pki": {"algorithm": "ECDSA-P256"}}  # quick to make


def record(made: Any, name: str) -> list[str]:
    """Do what `before.record` does; a host in memory runs no `find`, so its list is written here."""
    host = made.hosts[name]
    trees = host.observe(Queries(trees=tuple(one.path for one in RUNTIME_DIRECTORIES))).trees
    deep = {one.path: {Depth.TREE: 99, Depth.ENTRIES: 1, Depth.ITSELF: 0}[one.depth] for one in RUNTIME_DIRECTORIES}
    rows = [
        (path, entry)
        for top, tree in trees.items()
        for path, entry in tree.items()
        if path[len(top) :].count("/") <= deep[top]
    ]
    content = "".join(f"{p}\0{e.kind}\0{e.mode:o}\0{e.owner}\0{e.group}\0" for p, e in rows)
    done: list[str] = made.apply(name, before.record)
    if done:
        host.put(BEFORE, content.encode(), mode=0o600)
    made.begin()
    return done


def born(made: Any, name: str, *tasks: Any) -> None:
    for one in tasks:
        made.apply(name, one)
    made.begin()


def remains_of(made: Any) -> Steps:
    [found] = [item for item in made.ask("w1", reset.remove) if item.title.startswith("mounts, links")]
    assert isinstance(found, Steps)
    return found


def take_back(made: Any, name: str) -> list[str]:
    made.begin()
    titles: list[str] = made.apply(name, reset.remove)
    return titles


def state(host: Any) -> dict[str, tuple[Any, ...]]:
    """What is on a host but for our own folder: entry, digest, content."""
    now = host.state
    return {
        path: (entry, now.hashes.get(path), host.file(path) if now.hashes.get(path) else None)
        for path, entry in now.paths.items()
        if entry is not None and not path.startswith(STATE)
    }


def said(made: Any, name: str, task: Any) -> list[str]:
    """What a task has to say while it is planned."""
    context, told = made.context(name, task), list[str]()
    events = Events([lambda event: told.append(event.message)])  # type: ignore[attr-defined]
    for item in task(context):
        if isinstance(item, Remark):
            talk = Conversation(
                context=context,
                title=item.title,
                expected=Observation(),
                pending=False,
                connect=made.hosts.__getitem__,
                events=events,
                stopping=lambda: False,
            )
            assert item.plan(talk) == item.run(talk) == []
    return told


def users_own(made: Any) -> None:
    """What somebody has put onto cp1 before the first apply: an authority, and files of all kinds."""
    nobody = Identity(node="", address="")
    [key] = new_keys(1, KeyAlgorithm.ECDSA_P256)
    ca = authority(request(row("ca"), nobody), key, days=100, now=datetime.now(tz=UTC))
    host = made.hosts["cp1"]
    host.put(f"{PKI}/ca.crt", ca.certificate, mode=0o640, owner="7", group="8")
    host.put(f"{PKI}/ca.key", ca.key.reveal(), mode=0o400, owner="7")
    host.put(f"{KUBERNETES}/audit.yaml", b"mine", mode=0o604)
    host.put(f"{CNI_CONF}/99-mine.conflist", b"{}")
    host.put(f"{KUBELET_PLUGINS}/kubelet-plugins/volume/exec/mine~driver/driver", b"#!/bin/sh\n", mode=0o755)
    host.put(f"{KUBELET}/config.json", b"{}", mode=0o600)
    host.put(f"{ETCD_DATA}/default/member/wal", b"theirs")
    host.overlay(Observation(paths={KUBERNETES: Entry(stat.S_IFDIR | 0o700, "7", "8")}))


def live(made: Any, name: str) -> None:
    """What Kubernetes writes by itself while it runs."""
    for path in (
        f"{KUBERNETES}/tmp/kubeadm/x",
        f"{CNI_CONF}/10-flannel.conflist",
        f"{KUBELET}/pki/kubelet-client-2026-11-21.pem",
        f"{KUBELET}/pods/uid/etc-hosts",
        f"{CONTAINERD_STORE}/meta.db",
        "/var/log/pods/kube-system_x/0.log",
        "/opt/containerd/bin/x",
    ):
        made.hosts[name].put(path, b"of Kubernetes")


def test_a_host_that_was_never_touched(site: Make) -> None:
    made = site()
    assert made.ask("w1", reset.stop) == made.ask("w1", reset.remove) == []


def test_everything_stops_before_anything_is_removed(site: Make) -> None:
    made = site(**ECDSA)
    record(made, "w1")
    born(made, "w1", kubelet.configure)
    stopped = [item.title for item in made.ask("w1", reset.stop)]
    assert stopped == ["unit kubelet.service", "containers of Kubernetes", "unit containerd.service"]
    removed = [item.title for item in made.ask("w1", reset.remove)]
    assert removed[0] == "mounts, links and rules of Kubernetes"
    assert removed[-1] == "absent /var/lib/kubeforge"


def test_what_was_there_is_listed_before_the_first_change_and_never_again(site: Make) -> None:
    made = site(**ECDSA)
    users_own(made)
    assert record(made, "cp1") == [f"listing {BEFORE}"]
    assert made.changes("cp1", before.record) == []
    assert made.ask("cp1", before.record) == []
    [change] = made.changes("w1", before.record)
    assert change.why == "nothing is there yet"


def test_a_cluster_that_lives_already_gets_no_list(site: Make) -> None:
    """Kubernetes' own files would pass for somebody's."""
    made = site(**ECDSA)
    born(made, "w1", kubelet.configure)
    assert made.ask("w1", before.record) == []


def test_all_that_a_user_had_is_there_again(site: Make) -> None:
    made = site(**ECDSA)
    users_own(made)
    host = made.hosts["cp1"]
    was = state(host)
    record(made, "cp1")
    born(made, "cp1", runtime.install, pki.control_plane, etcd.member, kubelet.configure)
    leaf = x509.load_pem_x509_certificate(host.file(f"{PKI}/apiserver.crt"))
    leaf.verify_directly_issued_by(x509.load_pem_x509_certificate(was[f"{PKI}/ca.crt"][2]))
    live(made, "cp1")
    made.begin()
    changes = {change.title: change for change in made.changes("cp1", reset.remove)}
    assert changes[f"clear {KUBERNETES}"].why == (
        "all but what was there before: audit.yaml, pki/ca.crt, pki/ca.key; "
        "with it goes what kubeforge does not know: tmp/kubeadm/x"
    )
    assert changes[f"clear {CONTAINERD_DATA}"].why == "was not there before"
    assert changes[f"clear {ETCD_DATA}"].why == "all but what was there before: default"
    take_back(made, "cp1")
    left = state(host)
    assert {path: left[path] for path in was} == was
    assert {path for path in left if path.startswith((PKI, CNI_CONF, ETCD_DATA, CONTAINERD_DATA))} <= was.keys()


def test_a_bare_host_is_bare_again(site: Make) -> None:
    made = site(**ECDSA)
    was = state(made.hosts["w1"])
    record(made, "w1")
    born(made, "w1", runtime.install, kubelet.configure)
    live(made, "w1")
    made.hosts["w1"].put(KUBELET_CONF, b"of the kubelet")
    made.hosts["w1"].put(f"{KUBERNETES}/audit.yaml", b"put there by hand while the cluster lived")
    titles = take_back(made, "w1")
    assert state(made.hosts["w1"]) == was
    whys = {change.title: change.why for change in made.hosts["w1"].changes if change.title in titles}
    assert whys[f"clear {KUBERNETES}"] == (
        "was not there before; with it goes what kubeforge does not know: audit.yaml, tmp/kubeadm/x"
    )


def test_a_file_that_kubernetes_itself_overwrites_is_put_back(site: Make) -> None:
    made = site(**ECDSA)
    made.hosts["w1"].put(KUBELET_CONF, b"theirs", mode=0o640)
    was = state(made.hosts["w1"])
    record(made, "w1")
    born(made, "w1", kubelet.configure)
    made.hosts["w1"].put(KUBELET_CONF, b"of the kubelet", mode=0o600)
    assert f"restore {KUBELET_CONF}" in take_back(made, "w1")
    assert state(made.hosts["w1"]) == was


def test_without_a_list_only_what_is_proved_to_be_ours_goes(site: Make) -> None:
    """A cluster of an earlier kubeforge."""
    made = site(**ECDSA)
    users_own(made)
    host = made.hosts["cp1"]
    was = state(host)
    born(made, "cp1", runtime.install, pki.control_plane, etcd.member, kubelet.configure)
    live(made, "cp1")
    made.begin()
    [told] = said(made, "cp1", reset.remove)
    assert told.partition(": ")[2].partition(". ")[0] == (
        "these stay, as they may have been there before: /etc/kubernetes (audit.yaml, pki/ca.crt, pki/ca.key, "
        "tmp/kubeadm/x), /etc/cni (net.d/10-flannel.conflist, net.d/99-mine.conflist), /usr/libexec/kubernetes "
        "(kubelet-plugins/volume/exec/mine~driver/driver), /var/lib/kubelet, /var/lib/etcd, /var/lib/containerd, "
        "/opt/containerd, /var/log/pods"
    )
    assert not [title for title in take_back(made, "cp1") if title.startswith("clear ")]
    left = state(host)
    assert {path: left[path] for path in was} == was
    assert f"{PKI}/apiserver.crt" not in left, "what the generations know is taken back as ever"
    assert f"{KUBELET}/pods/uid/etc-hosts" in left


def test_without_a_list_what_the_generations_made_goes(site: Make) -> None:
    made = site(**ECDSA)
    born(made, "w1", runtime.install, kubelet.configure)
    live(made, "w1")
    made.begin()
    titles = [item.title for item in made.ask("w1", reset.remove) if isinstance(item, Cleared)]
    assert titles == [f"clear {path}" for path in (KUBERNETES, "/etc/cni", KUBELET)]
    [told] = said(made, "w1", reset.remove)
    assert "before: /var/lib/containerd, /opt/containerd, /var/log/pods. " in told


@pytest.mark.parametrize("there", [False, True])
def test_a_store_that_others_use_keeps_running(site: Make, there: bool) -> None:
    """Of a containerd that was there, only the namespace of Kubernetes goes, and only its mounts."""
    made = site(**ECDSA)
    if there:
        made.hosts["w1"].put(f"{CONTAINERD_STORE}/meta.db", b"theirs")
        made.hosts["w1"].put("/run/containerd/io.containerd.runtime.v2.task/moby/x", b"theirs")
    record(made, "w1")
    born(made, "w1", runtime.install, kubelet.configure)
    live(made, "w1")
    made.begin()
    [ended] = [item for item in made.ask("w1", reset.stop) if isinstance(item, Steps)]
    assert ("ctr namespaces rm k8s.io" in ended.lines[0]) == there
    remains = remains_of(made)
    assert ("/run/containerd/io.containerd.runtime.v2.task/k8s.io" in remains.lines[1]) == there
    assert ("|/run/containerd)/" in remains.lines[1]) != there
    [store] = [item for item in made.ask("w1", reset.remove) if item.title == f"clear {CONTAINERD_DATA}"]
    assert isinstance(store, Cleared)
    assert (CONTAINERD_STORE in store.stays) == there


def test_mounts_that_were_there_are_not_of_pods(site: Make) -> None:
    made = site(**ECDSA)
    made.hosts["w1"].put(f"{KUBELET}/plugins/mine/socket", b"")
    record(made, "w1")
    born(made, "w1", kubelet.configure)
    remains = remains_of(made)
    assert f"{KUBELET}/plugins/mine\n".encode() in (remains.payload or b"")


def test_a_host_of_kubeadm_s_is_left_alone(site: Make) -> None:
    made = site()
    made.hosts["w1"].put(KUBELET_CONF, b"by kubeadm join")
    made.hosts["w1"].put(f"{STATE}/run", b"")
    assert [item for item in made.ask("w1", reset.stop) if isinstance(item, Operation)] == []
    assert made.ask("w1", reset.remove) == []
    [told] = said(made, "w1", reset.stop)
    assert "`kubeadm reset`" in told


def test_a_farewell_that_was_cut_off_is_said_again(site: Make) -> None:
    """The ledger goes first, so nothing looks for copies that are gone."""
    made = site(**ECDSA)
    record(made, "w1")
    born(made, "w1", kubelet.configure)
    take_back(made, "w1")
    made.hosts["w1"].overlay(Observation(paths={LEDGER: None}, hashes={LEDGER: None}))
    made.begin()
    assert made.ask("w1", reset.stop) == []
    assert [item.title for item in made.ask("w1", reset.remove)] == [f"absent {STATE}"]


def test_a_list_that_is_none(site: Make) -> None:
    made = site(**ECDSA)
    record(made, "w1")
    born(made, "w1", kubelet.configure)
    made.hosts["w1"].put(BEFORE, b"torn\0d\0")
    made.begin()
    with pytest.raises(Unreadable, match="is not the list that apply wrote"):
        made.ask("w1", reset.remove)


def test_without_a_list_only_mounts_of_pods_are_taken_away(site: Make) -> None:
    made = site(**ECDSA)
    made.hosts["w1"].put(f"{KUBELET}/plugins/mine/socket", b"")
    born(made, "w1", runtime.install, kubelet.configure)
    remains = remains_of(made)
    assert f"({KUBELET}/pods|{KUBELET}/plugins/kubernetes.io|" in remains.lines[1]


def test_a_directory_that_comes_after_the_plan_goes_as_well(site: Make) -> None:
    """A cluster lives on until it is stopped: a pod may start, and nothing that is not in the plan is done later."""
    made = site(**ECDSA)
    made.hosts["w1"].put("/opt/containerd/mine", b"theirs")
    record(made, "w1")
    born(made, "w1", runtime.install, kubelet.configure)
    assert "clear /var/lib/cni" not in [item.title for item in made.ask("w1", reset.remove)]
    [late] = [line.split() for line in remains_of(made).lines if line.startswith("set -- ")]
    assert "/var/lib/cni" in late
    assert not {KUBELET, "/opt/containerd", "/lib/modules", "/run/netns"} & set(late)
