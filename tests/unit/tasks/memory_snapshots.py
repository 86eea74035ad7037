"""Hosts in memory that take snapshots, carry them about, and make an etcd in memory anew out of one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from kubeforge.cluster import snapshot_copies
from kubeforge.cluster.etcd import etcdctl
from kubeforge.cluster.snapshots import Snapshot, folder, parse_snapshot
from kubeforge.engine.conversation import Conversation
from kubeforge.engine.events import ActionSaid, Events
from kubeforge.operations.model import Entry, Observation
from kubeforge.spec.paths import ADMIN_CONF, ETCD_MEMBER, ETCD_RESTORED, ETCD_WAL
from kubeforge.tasks import etcd, etcd_data, restore
from kubeforge.transport.base import Completed
from tests.unit.tasks.memory_etcd import MemoryEtcd

CA = "/etc/kubernetes/pki/etcd/ca.crt"
_ASK = tuple(etcdctl())
_NAMED = ("kube-apiserver", "kube-controller", "kube-scheduler")


class Shelf:
    """A living etcd of three members on hosts in memory, and the snapshots they keep."""

    def __init__(self, site: Any, task: Any = etcd.member, names: tuple[str, ...] = ("cp1", "cp2", "cp3")) -> None:
        self.site, self.task, self.names = site, task, names
        for name in names:
            site.apply(name, task)
        site.begin()
        hosts = {name: site.hosts[name] for name in names}
        addresses = {name: site.sample.inventory.hosts[name].address for name in names}
        self.etcd = MemoryEtcd(hosts, addresses)
        self.free = 1 << 40
        self.made: list[tuple[str, str, str]] = []
        self.states: dict[str, dict[str, Any]] = {name: {} for name in names}
        self.alarms: list[dict[str, Any]] = []
        self.said: list[str] = []
        self.damages: set[str] = set()
        self.number = 0
        for name, host in site.hosts.items():
            host.put(CA, b"this cluster's")
            host.commands = _Commands(self, name, host.commands)

    def run(
        self, name: str, *, begin: bool = True, run_id: str = "r2", variables: Mapping[str, str] | None = None
    ) -> Conversation:
        """Return what an action of a host gets, in a run of its own unless `begin` is False."""
        if begin:
            self.site.begin()
        return Conversation(
            context=self.site.context(name, self.task, vars=variables or {}),
            title="t",
            expected=Observation(),
            pending=False,
            connect=lambda host: self.site.hosts[host],
            events=Events([lambda event: self.said.append(event.message) if isinstance(event, ActionSaid) else None]),
            stopping=lambda: False,
            run_id=run_id,
        )

    def take(self, name: str, words: tuple[str, ...] = ("asked", "by hand", ""), **changes: Any) -> Snapshot:
        """Let a host take a snapshot now, as its script would."""
        self.number += 1
        content = f"database {self.number}".encode()
        members = [{"name": one, "peerURLs": [entry.url]} for one, entry in self.etcd.members.items()]
        about = {
            "format": 1,
            "name": f"20261122T1945{self.number:02}.000Z-{words[0]}-{name}",
            "cluster": "demo",
            "host": name,
            "time": "2026-11-22T19:45:00Z",
            "kind": words[0],
            "reason": words[1],
            "key": words[2],
            "source": "data" if len(words) > 3 else "member",
            "kubernetes": "1.36.3",
            "etcd": "3.6.16",
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            "authorities": {CA: hashlib.sha256(b"this cluster's").hexdigest()},
            "status": {"hash": 7, "revision": self.etcd.revision, "totalKey": 5},
            "members": None if len(words) > 3 else {"members": members},
            **changes,
        }
        place = folder(str(about["name"]))
        text = json.dumps(about).encode()
        for file, held in (("snapshot.db", content), ("pki.tar", b"keys"), ("snapshot.json", text)):
            self.site.hosts[name].put(f"{place}/{file}", held, mode=0o600)
        return parse_snapshot(text)

    def keepers(self, snapshot: Snapshot) -> list[str]:
        path = f"{folder(snapshot.name)}/snapshot.json"
        return [name for name, host in self.site.hosts.items() if isinstance(host.state.paths.get(path), Entry)]


class _Commands(dict[tuple[str, ...], Any]):
    """Commands of one host: those of snapshots, then those of its etcd."""

    def __init__(self, shelf: Shelf, host: str, others: Mapping[tuple[str, ...], Any]) -> None:
        super().__init__()
        self._shelf, self._name, self._others = shelf, host, others
        self._scripts: dict[str, Callable[[tuple[str, ...]], Any]] = {
            snapshot_copies._BEGIN: lambda _: Completed(0),
            snapshot_copies._ADD: lambda words: lambda piece: self._add(words[0], piece),
            snapshot_copies._END: lambda words: self._end(*words),
            snapshot_copies._PKI: lambda words: lambda about: self._keep_pki(words, about),
            snapshot_copies._LET_GO: lambda words: self._let_go(words[1], int(words[2])),
            restore._FREE: lambda _: Completed(0, str(self._shelf.free).encode()),
            etcd_data._RESTORE: self._restore,
        }

    @property
    def _host(self) -> Any:
        return self._shelf.site.hosts[self._name]

    def get(self, argv: tuple[str, ...], default: Any = None) -> Any:
        if argv[:3] == ("sh", "-s", "--"):
            return lambda _: self._taken(argv[3:])
        if argv[1:2] == ("-euc",) and argv[2] in self._scripts:
            return self._scripts[argv[2]](argv[4:])
        if argv[:2] == ("sh", "-c") and argv[5:6] == ("yes",):
            return self._probed(argv[4])
        return self._plain(argv) or self._asked(argv) or self._others.get(argv, default)

    def _probed(self, nonce: str) -> Completed:
        """Answer what `status` asks of a host of etcd."""
        etcd = self._shelf.etcd
        parts = {"units": "", "clocks": "1 1", "manifests": "", "processes": "", "note": ""}
        if etcd.lives(self._name):
            known = etcd.members.get(self._name)
            header = {"member_id": known.id if known else 99, "revision": etcd.revision}
            raised = [f"memberID:{one['memberID']} alarm:{one['alarm']} " for one in self._shelf.alarms]
            leads = 1 if etcd.serves() else 0
            status = {"header": header, "version": "3.6.16", "leader": leads, "errors": raised}
            parts["etcd"] = json.dumps([{"Status": {**status, **self._shelf.states[self._name]}}])
        else:
            parts["etcd"] = "connection refused"
        if etcd.lives(self._name) and etcd.serves():
            rows = [{"ID": one.id, "name": one.name, "peerURLs": [one.url]} for one in etcd.members.values()]
            parts["members"] = json.dumps({"header": {}, "members": rows})
        text = "".join(f"\n{nonce} {name}\n{body}" for name, body in parts.items())
        return Completed(0, f"{text}\n{nonce} end\n".encode())

    def _plain(self, argv: tuple[str, ...]) -> Completed | None:
        """Answer what is a matter of the host alone."""
        if argv[0] == "dd":
            return Completed(0, self._host.file(argv[1].removeprefix("if=")))
        if argv[-1] == ADMIN_CONF:
            return Completed(66)  # there is none, so no API can be asked
        if argv[0] in ("systemctl", "true") or "--kubeconfig=/etc/kubernetes/scheduler.conf" in argv:
            return Completed(0)
        if argv[0] == "rm":
            self._host.overlay(Observation(paths={argv[-1]: None}, hashes={argv[-1]: None}))
            return Completed(0)
        return Completed(0, b"100.0 1700000000.0 100\n\n") if argv[-1] in _NAMED else None

    def _asked(self, argv: tuple[str, ...]) -> Completed | None:
        words, etcd = argv[len(_ASK) :], self._shelf.etcd
        if argv[: len(_ASK)] != _ASK or words[0] == "member":
            return None
        if not etcd.lives(self._name):
            return Completed(1, b"", b"connection refused")
        etcd.log.append(f"{self._name}: {' '.join(word for word in words if word[:2] != '--')}")
        return self._changed(words)

    def _changed(self, words: tuple[str, ...]) -> Completed:
        if words[0] == "defrag":
            self._shelf.states[self._name] = {"dbSize": 10 << 20, "dbSizeInUse": 10 << 20, "dbSizeQuota": 2 << 30}
        if words == ("alarm", "disarm"):
            self._shelf.alarms = []
        return Completed(0)

    def _taken(self, words: tuple[str, ...]) -> Completed:
        snapshot = self._shelf.take(self._name, words)
        return Completed(0, self._host.file(f"{folder(snapshot.name)}/snapshot.json"))

    def _add(self, path: str, piece: bytes) -> Completed:
        try:
            before = self._host.file(path)
        except KeyError:
            before = b""
        self._host.put(path, before + (b"x" if self._name in self._shelf.damages else piece), mode=0o600)
        return Completed(0)

    def _end(self, new: str, place: str, database: str, sha256: str) -> Completed:
        found: dict[str, bytes] = {name: self._host.file(f"{new}/{name}") for name in (database, *_BESIDE)}
        self._host.overlay(Observation(paths=dict.fromkeys((new, *(f"{new}/{name}" for name in found)))))
        if hashlib.sha256(found[database]).hexdigest() != sha256:
            return Completed(1, b"", b"WARNING: 1 computed checksum did NOT match")
        for name, content in found.items():
            self._host.put(f"{place}/{name}", content, mode=0o600)
        return Completed(0)

    def _keep_pki(self, words: tuple[str, ...], about: bytes) -> Completed:
        self._host.put(f"{words[1]}/snapshot.json", about, mode=0o600)
        self._host.put(f"{words[1]}/pki.tar", " ".join(words[4:]).encode(), mode=0o600)
        return Completed(0)

    def _let_go(self, kind: str, keep: int) -> Completed:
        abouts = [path for path, at in self._host.state.paths.items() if at and path.endswith("/snapshot.json")]
        old = sorted(path.rpartition("/")[0] for path in abouts if f"Z-{kind}-" in path)[:-keep]
        self._host.overlay(Observation(paths=dict.fromkeys(old)))
        return Completed(0)

    def _restore(self, words: tuple[str, ...]) -> Completed:
        """Make the data of this host's member anew, unless they were under the same name."""
        etcd, mark = self._shelf.etcd, words[5]
        known = [entry for entry in self._shelf.made if entry[0] == self._name and entry[1] == mark]
        if known and etcd.has_data(self._name):
            return Completed(0)
        flags = dict(zip(words[7::2], words[8::2], strict=False))
        self._shelf.made.append((self._name, mark, " ".join(words[7:])))
        if etcd.has_data(self._name):
            self._host.overlay(Observation(paths={words[4]: Entry(0o040700)}))
        there = Observation(paths={ETCD_MEMBER: Entry(0o040700), ETCD_WAL: Entry(0o040700)})
        self._host.overlay(there)
        self._host.put(ETCD_RESTORED, mark.encode())
        etcd.revision = 7 + int(flags["--bump-revision"])
        etcd.members = {}
        for one in flags["--initial-cluster"].split(","):
            etcd.add(one.partition("=")[0], started=True)
        return Completed(0)


_BESIDE = ("pki.tar", "snapshot.json")
