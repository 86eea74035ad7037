"""What is done on and for hosts that have moved: stop, borrow an address, tell the members, renew pods."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from kubeforge.cluster.etcd import Member, NotYet
from kubeforge.cluster.etcd_survey import Standing, Survey
from kubeforge.errors import DeadlineExceeded
from kubeforge.operations.model import Entry, Observation, UnitState
from kubeforge.spec.paths import ETCD_WAL, MOVED_FROM, PKI
from kubeforge.tasks import addresses, etcd_addresses, etcd_runs, etcd_way, nodes
from kubeforge.tasks.addresses import AddressSettled, HostMoved, PodsFollow
from kubeforge.tasks.etcd_addresses import PeersFollow
from kubeforge.tasks.etcd_way import WAY, borrowed, passing_certificate
from kubeforge.tasks.moving import Move
from kubeforge.transport.base import Completed
from kubeforge.transport.memory import MemoryHost
from tests.unit.tasks.memory_api import FixedAccess, MemoryApi
from tests.unit.tasks.rolling_site import talk, titles
from tests.unit.tasks.test_tasks_moving import move

Make = Callable[..., Any]
MOVE = Move(host="cp1", old="192.0.2.11", new="192.0.2.91")


class Willing(MemoryHost):
    """A host on which every command succeeds, and what is read is 0."""

    def run(self, argv: Any, **_: Any) -> Completed:
        self.ran.append(tuple(argv))
        return Completed(0, b"0\n" if argv[0] == "cat" else b"")


def on_willing_hosts(made: Any) -> Any:
    for name, host in made.hosts.items():
        new = Willing(name)
        new.overlay(host.state)
        for path, content in host.state.hashes.items():
            if content is not None:
                new.put(path, host.file(path))
        made.hosts[name] = new
    return made


def test_a_moved_control_plane_is_stopped_and_its_old_address_noted(
    living_site: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = on_willing_hosts(move(living_site(), cp1=MOVE.new))
    monkeypatch.setattr(addresses, "processes", lambda *_, **__: ())
    monkeypatch.setattr(etcd_runs, "still_runs", lambda *_: None)
    (change,) = HostMoved(move=MOVE).run(talk(made, "cp1"))
    assert change.why.startswith("192.0.2.11 -> 192.0.2.91")
    host = made.hosts["cp1"]
    assert host.file(MOVED_FROM) == b"192.0.2.11\n"
    assert host.state.units["kubelet.service"].active == "inactive"
    ended = [" ".join(argv[4:]) for argv in host.ran if argv[:2] == ("sh", "-c")]
    assert ended[0] == "etcd --name=cp1 TERM kube-apiserver --advertise-address=192.0.2.11 KILL"
    assert ended[1:] == ["KILL kube-apiserver", "TERM kube-controller", "TERM kube-scheduler"]


def test_a_moved_worker_goes_on_running(living_site: Make) -> None:
    made = on_willing_hosts(living_site())
    made.hosts["w1"].overlay(Observation(units={"kubelet.service": UnitState(load="loaded", active="active")}))
    HostMoved(move=Move(host="w1", old="192.0.2.77", new="192.0.2.101")).run(talk(made, "w1"))
    assert made.hosts["w1"].ran == []
    assert made.hosts["w1"].state.units["kubelet.service"].active == "active"
    AddressSettled(move=MOVE).run(talk(made, "w1"))
    assert made.hosts["w1"].state.paths[MOVED_FROM] is None


def test_what_does_not_end_is_named(living_site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made = on_willing_hosts(living_site())
    monkeypatch.setattr(addresses, "COMPONENT_DEADLINE", 0.1)
    monkeypatch.setattr(addresses, "processes", lambda _, name: (1,) if name == "kube-scheduler" else ())
    with pytest.raises(DeadlineExceeded, match="kube-scheduler still runs"):
        HostMoved(move=MOVE).run(talk(made, "cp1"))


def test_an_address_is_borrowed_and_given_back(living_site: Make) -> None:
    host = Willing("cp2")
    with borrowed(host, MOVE):
        started = host.ran[-1]
        assert started[0] == "systemd-run"
        assert started[-3:] == ("192.0.2.11/32", "192.0.2.11:2380", "192.0.2.91:2380")
        assert f"--unit={WAY}" in started
        (after,) = (word for word in started if word.startswith("--property=ExecStopPost="))
        assert after.endswith("'ip address del 192.0.2.11/32 dev lo; echo 0 >/proc/sys/net/ipv4/conf/all/arp_ignore'")
    assert host.ran[0] == host.ran[-1] == ("systemctl", "stop", "--", WAY), "also one that an earlier run left"


def test_systemd_expands_nothing_in_what_it_runs() -> None:
    """It replaces `${NAME}` inside of an argument, `$NAME` where that is all of it (systemd.service, COMMAND LINES)."""
    host = Willing("cp2")
    with borrowed(host, MOVE):
        words = host.ran[-1]
    assert not [word for word in words if "${" in word or word.startswith("$") or "%" in word]


def test_a_certificate_for_both_addresses_is_shown_meanwhile(living_site: Make) -> None:
    from cryptography import x509

    made = move(living_site(), cp1=MOVE.new)
    before = made.hosts["cp1"].file(f"{PKI}/etcd/peer.crt")
    run = talk(made, "cp1")
    with passing_certificate(run, MOVE):
        shown = x509.load_pem_x509_certificate(made.hosts["cp1"].file(f"{PKI}/etcd/peer.crt"))
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        known = set(map(str, names.get_values_for_type(x509.IPAddress)))
        assert {"192.0.2.11", "192.0.2.91", "127.0.0.1"} <= known
        ca = x509.load_pem_x509_certificate(made.hosts["cp1"].file(f"{PKI}/etcd/ca.crt"))
        shown.verify_directly_issued_by(ca)
    assert made.hosts["cp1"].file(f"{PKI}/etcd/peer.crt") == before


class Members:
    """Members that find one another only by right peer URLs, or by a borrowed address."""

    def __init__(self, made: Any, monkeypatch: pytest.MonkeyPatch, *, serves: bool) -> None:
        self.hosts = [host.name for host in made.sample.inventory.etcd_members]
        self.urls = {name: f"https://192.0.2.1{number}:2380" for number, name in enumerate(self.hosts, 1)}
        self.serves, self.log, self.refusals = serves, [], 1
        monkeypatch.setattr(etcd_addresses, "lives", lambda _: True)
        monkeypatch.setattr(etcd_runs, "survey", self._survey)
        monkeypatch.setattr(etcd_addresses, "members", self._members)
        monkeypatch.setattr(etcd_addresses, "update_member", self._update)
        monkeypatch.setattr(etcd_addresses, "borrowed", self._borrowed)
        monkeypatch.setattr(etcd_addresses, "passing_certificate", self._passing)

    log: list[str]

    def _survey(self, hosts: Any, _: Any) -> Survey:
        lacks = None if self.serves else "no leader"
        return Survey(standings=tuple(Standing(host=host, lacks=lacks) for host in hosts))

    def _members(self, _: Any) -> tuple[Member, ...]:
        return tuple(Member(id=name, name=name, peer_urls=(url,)) for name, url in self.urls.items())

    def _update(self, _: Any, member: Member, url: str) -> None:
        if self.refusals:
            self.refusals -= 1
            raise NotYet("etcdserver: unhealthy cluster")
        self.log.append(f"{member.name} {url}")
        self.urls[member.name] = url

    @contextmanager
    def _borrowed(self, remote: Any, target: Move) -> Iterator[None]:
        self.log.append(f"{remote.host} borrows {target.old}")
        self.serves = True
        yield
        self.log.append(f"{remote.host} gives back")

    @contextmanager
    def _passing(self, _: Any, target: Move) -> Iterator[None]:
        self.log.append(f"{target.host} shows both")
        yield
        self.log.append(f"{target.host} shows its own")


def all_moved(made: Any) -> PeersFollow:
    (action,) = made.ask("cp1", etcd_addresses.addresses)
    assert isinstance(action, PeersFollow)
    return action


@pytest.fixture
def three(living_site: Make) -> Any:
    made = living_site(control_planes=3)
    for host in made.hosts.values():
        host.overlay(Observation(paths={ETCD_WAL: Entry(0o040700)}))
    return made


NEWS = {"cp1": "192.0.2.91", "cp2": "192.0.2.92", "cp3": "192.0.2.93"}


def test_members_that_all_moved_are_brought_together(three: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = move(three, **NEWS)
    etcd = Members(made, monkeypatch, serves=False)
    run = talk(made, "cp1")
    assert titles(all_moved(made).run(run)) == ["etcd.addresses"]
    all_moved(made).run(run)  # another host's action: it was done for all
    assert etcd.log == [
        "cp1 shows both",
        "cp2 borrows 192.0.2.11",
        *(f"{name} https://{address}:2380" for name, address in NEWS.items()),
        "cp2 gives back",
        "cp1 shows its own",
    ]


def test_who_has_anothers_old_address_is_told_behind_that_one(three: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """etcd knows no two members by one URL: cp2 has cp1's, cp3 has cp2's, and cp3's nobody has."""
    made = move(three, cp1="192.0.2.91", cp2="192.0.2.11", cp3="192.0.2.12")
    etcd = Members(made, monkeypatch, serves=False)
    all_moved(made).run(talk(made, "cp1"))
    assert etcd.log == [
        "cp3 shows both",
        "cp1 borrows 192.0.2.13",
        "cp1 https://192.0.2.91:2380",
        "cp2 https://192.0.2.11:2380",
        "cp3 https://192.0.2.12:2380",
        "cp1 gives back",
        "cp3 shows its own",
    ]


def test_a_ring_is_broken_by_a_url_that_nobody_has(three: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has another's: told in any order, etcd would refuse the first for ever."""
    made = move(three, cp1="192.0.2.13", cp2="192.0.2.11", cp3="192.0.2.12")
    etcd = Members(made, monkeypatch, serves=False)
    all_moved(made).run(talk(made, "cp1"))
    assert etcd.log == [
        "cp1 shows both",
        "cp3 borrows 192.0.2.11",
        "cp2 https://192.0.2.11:1",
        "cp3 https://192.0.2.12:2380",
        "cp1 https://192.0.2.13:2380",
        "cp2 https://192.0.2.11:2380",
        "cp3 gives back",
        "cp1 shows its own",
    ]


MOVES = {"a": ("1", "2"), "b": ("2", "1"), "c": ("3", "4"), "d": ("5", "3"), "e": ("6", "7"), "f": ("7", "6")}


@pytest.mark.parametrize(
    ("order", "told"),
    [
        ("ab", "B a b"),
        ("abc", "c B a b"),
        ("dc", "c d"),
        ("acb", "c B a b"),
        ("abef", "F e f B a b"),
        ("dabc", "c d B a b"),
    ],
)
def test_who_is_told_when(order: str, told: str) -> None:
    """A capital: parked."""
    moves = [Move(host=host, old=old, new=new) for host, (old, new) in MOVES.items()]
    found = etcd_addresses.telling(order, moves)
    assert " ".join(host.upper() if parked else host for host, parked in found) == told


def test_where_one_kept_its_address_nothing_is_borrowed(three: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = move(three, cp1="192.0.2.91", cp3="192.0.2.93")
    etcd = Members(made, monkeypatch, serves=True)
    all_moved(made).run(talk(made, "cp1"))
    assert etcd.log == ["cp1 https://192.0.2.91:2380", "cp3 https://192.0.2.93:2380"]


def test_a_run_that_was_cut_off_tells_only_what_is_left(three: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = move(three, **NEWS)
    etcd = Members(made, monkeypatch, serves=True)
    etcd.urls["cp1"] = "https://192.0.2.91:2380"
    all_moved(made).run(talk(made, "cp1"))
    assert etcd.log == ["cp2 https://192.0.2.92:2380", "cp3 https://192.0.2.93:2380"]


def test_a_member_that_does_not_run_is_waited_for(three: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = move(three, **NEWS)
    Members(made, monkeypatch, serves=False)
    monkeypatch.setattr(etcd_addresses, "ETCD_DEADLINE", 0.1)
    monkeypatch.setattr(etcd_runs, "still_runs", lambda *_: None)
    monkeypatch.setattr(etcd_addresses, "lives", lambda remote: remote.host != "cp2")
    monkeypatch.setattr(etcd_runs, "log", lambda *_: ["etcd: no"])
    with pytest.raises(DeadlineExceeded, match="cp2 does not answer"):
        all_moved(made).run(talk(made, "cp1"))


NOTED = 1_795_000_000  # 2026-11-18T11:06:40Z
BEFORE, SINCE = "2026-11-18T11:06:30Z", "2026-11-18T11:06:50Z"


def pod(name: str, address: str, started: str = SINCE, **values: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": "kube-system", "ownerReferences": [{"kind": "DaemonSet"}]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**metadata, **values.pop("metadata", {})},
        "spec": {"nodeName": "cp1", "hostNetwork": True, **values},
        "status": {"podIP": address, "containerStatuses": [{"state": {"running": {"startedAt": started}}}]},
    }


def test_pods_on_the_hosts_network_are_renewed_and_no_others(
    living_site: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, api = living_site(), MemoryApi()
    pods = [
        pod("kube-proxy-a", MOVE.old),
        pod("flannel-new", MOVE.new),
        pod("flannel-that-read-the-old-one", MOVE.new, BEFORE),
        pod("coredns", "10.244.0.3", hostNetwork=False),
        pod("elsewhere", MOVE.old, nodeName="w1"),
        pod("etcd-cp1", MOVE.old, metadata={"annotations": {"kubernetes.io/config.mirror": "x"}}),
        pod("by-hand", MOVE.old, metadata={"ownerReferences": []}),
    ]
    for one in pods:
        api.objects_["v1", "Pod", "kube-system", one["metadata"]["name"]] = one
    monkeypatch.setattr(addresses, "api_of", FixedAccess(api).api)
    made.hosts["cp1"].overlay(Observation(paths={MOVED_FROM: Entry(stat.S_IFREG | 0o600, modified=NOTED)}))
    (change,) = PodsFollow(move=MOVE).run(talk(made, "cp1"))
    assert change.why == "2 pods on the host's network started anew"
    left = {key[3] for key in api.objects_}
    assert left == {"flannel-new", "coredns", "elsewhere", "etcd-cp1", "by-hand"}


def test_a_node_follows_its_host(monkeypatch: pytest.MonkeyPatch) -> None:
    node = {"status": {"addresses": [{"type": "InternalIP", "address": MOVE.old}]}}
    assert nodes.registered_elsewhere(node, MOVE.new) == "is registered with 192.0.2.11, not 192.0.2.91"
    assert nodes.registered_elsewhere(node, MOVE.old) is None
    assert nodes.registered_elsewhere({}, MOVE.new) is None, "it has not said yet"
    monkeypatch.setattr(nodes, "served_certificate", lambda _: None)
    assert "does not answer on" in str(nodes.lacks_name(MemoryHost("cp1"), MOVE.new))


def test_a_kubelet_shows_a_certificate_for_its_address(living_site: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    pem = living_site().hosts["cp1"].file(f"{PKI}/apiserver.crt")
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    monkeypatch.setattr(nodes, "served_certificate", lambda _: der)
    assert nodes.lacks_name(MemoryHost("cp1"), MOVE.old) is None
    assert nodes.lacks_name(MemoryHost("cp1"), MOVE.new) == "its serving certificate does not name 192.0.2.91 yet"
    assert etcd_way.WAY.endswith(".service")
