"""Tokens and invitations on an API in a dictionary: what is made, what is shown, what is refused, what is left."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from kubeforge.cluster import joining
from kubeforge.cluster.api import Api
from kubeforge.cluster.joining import invite, upload_certificates
from kubeforge.cluster.kinds import Obj, key_of
from kubeforge.cluster.tokens import create, known_tokens, remove
from kubeforge.documents import dump
from kubeforge.errors import ApiError, ConnectionFailed, DeadlineExceeded, UnfitHost
from kubeforge.pki.certificates import Identity, request, row
from kubeforge.pki.issue import authority, new_keys
from kubeforge.pki.kubeconfigs import cluster_info
from kubeforge.pki.tokens import ca_hashes, new_token, parse_token, signature, token_secret
from kubeforge.report.tokens import as_text
from kubeforge.secret import Secret
from kubeforge.spec.model import KeyAlgorithm
from kubeforge.transport.memory import MemoryHost

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SYSTEM = "kube-system"
SHARED = (
    "ca.crt",
    "ca.key",
    "front-proxy-ca.crt",
    "front-proxy-ca.key",
    "etcd/ca.crt",
    "etcd/ca.key",
    "sa.pub",
    "sa.key",
)


def an_authority() -> bytes:
    key = new_keys(1, KeyAlgorithm.ECDSA_P256)[0]
    return authority(request(row("ca"), Identity(node="", address="")), key, days=1, now=NOW).certificate


CA, OTHER = an_authority(), an_authority()
FORM = "a bootstrap token looks like abcdef.0123456789abcdef: [a-z0-9]{6}.[a-z0-9]{16}"


@dataclass
class MemoryApi:
    """An API server in a dictionary, with a bootstrapsigner unless `signs` is off."""

    ca: bytes = CA
    signs: bool = True
    live: dict[tuple[str, str, str, str], Obj] = field(default_factory=dict)

    def create(self, obj: Obj) -> Obj:
        if key_of(obj) in self.live:
            raise ApiError("the API refused (409): already exists", status=409)
        return self.replace(obj)

    def replace(self, obj: Obj) -> Obj:
        made = deepcopy(obj)
        made["metadata"]["uid"] = f"uid-of-{made['metadata']['name']}"
        for key, value in made.pop("stringData", {}).items():
            made.setdefault("data", {})[key] = base64.b64encode(value.encode()).decode()
        self.live[key_of(obj)] = made
        return deepcopy(made)

    def get(self, version: str, kind: str, name: str, space: str) -> Obj | None:
        found = deepcopy(self.live.get((version, kind, space, name)))
        if found is not None and name == "cluster-info" and self.signs:
            for secret in self.objects(
                "v1", "Secret", namespace=SYSTEM, fields={"type": "bootstrap.kubernetes.io/token"}
            ):
                token = parse_token(Secret(".".join(self.part(secret, f"token-{half}") for half in ("id", "secret"))))
                found["data"][f"jws-kubeconfig-{token.id}"] = signature(found["data"]["kubeconfig"], token)
        return found

    def objects(self, version: str, kind: str, *, namespace: str, fields: dict[str, str]) -> list[Obj]:
        return [
            obj
            for key, obj in self.live.items()
            if key[:3] == (version, kind, namespace) and obj["type"] == fields["type"]
        ]

    def metadata(self, version: str, kind: str, *, namespace: str) -> list[Obj]:
        return [deepcopy(obj["metadata"]) for key, obj in self.live.items() if key[:3] == (version, kind, namespace)]

    def delete(self, version: str, kind: str, name: str, space: str) -> bool:
        return self.live.pop((version, kind, space, name), None) is not None

    @staticmethod
    def part(secret: Obj, name: str) -> str:
        return base64.b64decode(secret["data"][name]).decode()


def config_map(name: str, space: str, **data: str) -> Obj:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": space}, "data": data}


@pytest.fixture
def memory() -> MemoryApi:
    api = MemoryApi()
    api.create(config_map("cluster-info", "kube-public", kubeconfig=cluster_info(server="192.0.2.11:6443", ca=CA)))
    api.create(
        config_map("kubeadm-config", SYSTEM, ClusterConfiguration=dump({"certificatesDir": "/etc/kubernetes/pki"}))
    )
    return api


@pytest.fixture
def api(memory: MemoryApi) -> Api:
    return cast(Api, memory)


def plane(name: str, ca: bytes = CA, without: str = "") -> MemoryHost:
    host = MemoryHost(name)
    for stem in SHARED:
        if stem != without:
            host.write(f"/etc/kubernetes/pki/{stem}", ca if stem == "ca.crt" else f"{name}: {stem}".encode())
    return host


def test_a_worker_is_invited(api: Api, memory: MemoryApi) -> None:
    made = invite(api, now=NOW, lifetime=timedelta(hours=24), description="rack 7")
    token = made.token.text.reveal().decode()
    (digest,) = ca_hashes(CA)
    told = made.command.reveal().decode()
    assert told == f"kubeadm join 192.0.2.11:6443 --token {token} --discovery-token-ca-cert-hash {digest}"
    (known,) = known_tokens(api, NOW)
    assert (known.id, known.signed, known.description, known.problem) == (made.token.id, True, "rack 7", "")
    assert known.expires == made.expires == NOW + timedelta(hours=24)
    assert token not in repr(made)
    assert made.as_json()["certificate_key"] is None


def test_an_unsigned_token_is_taken_back(api: Api, memory: MemoryApi, monkeypatch: pytest.MonkeyPatch) -> None:
    memory.signs = False
    monkeypatch.setattr(joining, "APPLY_DEADLINE", 0.0)
    with pytest.raises(DeadlineExceeded, match="there is no signature yet") as caught:
        invite(api, now=NOW, lifetime=None, evidence=lambda: ["bootstrapsigner: off"])
    assert caught.value.evidence == ("bootstrapsigner: off",)
    assert known_tokens(api, NOW) == ()


@pytest.mark.parametrize(
    ("kubeconfig", "said"),
    [
        (cluster_info(server="192.0.2.66:6443", ca=OTHER), "another authority"),
        ("", "holds no kubeconfig"),
        ("clusters: [{cluster: {server: x}}]", "holds no kubeconfig"),
        ("clusters: [{cluster: {server: x, certificate-authority-data: '*'}}]", "holds no kubeconfig"),
    ],
)
def test_nobody_is_led_elsewhere(api: Api, memory: MemoryApi, kubeconfig: str, said: str) -> None:
    memory.replace(config_map("cluster-info", "kube-public", kubeconfig=kubeconfig))
    with pytest.raises(ApiError, match=said):
        invite(api, now=NOW, lifetime=None)
    assert known_tokens(api, NOW) == ()


def test_without_cluster_info_nobody_is_invited(api: Api, memory: MemoryApi) -> None:
    memory.live.clear()
    with pytest.raises(ApiError, match="it is missing"):
        invite(api, now=NOW, lifetime=None)
    assert memory.live == {}


def opened(secret: Obj, key: Secret) -> dict[str, str]:
    cipher = AESGCM(bytes.fromhex(key.reveal().decode()))
    found = {}
    for name, value in secret["data"].items():
        raw = base64.b64decode(value)
        found[name] = cipher.decrypt(raw[:12], raw[12:], None).decode()
    return found


def test_certificates_are_uploaded_sealed_and_owned(api: Api, memory: MemoryApi) -> None:
    hosts = [plane("cp1", without="etcd/ca.key"), plane("cp2")]
    upload = upload_certificates(api, [lambda host=host: host for host in hosts], now=NOW)  # type: ignore[misc]
    made = memory.live["v1", "Secret", SYSTEM, "kubeadm-certs"]
    assert "cp2: sa.key" not in json.dumps(made)
    wanted = {stem.replace("/", "-"): CA.decode() if stem == "ca.crt" else f"cp2: {stem}" for stem in SHARED}
    assert opened(made, upload.key) == wanted
    (owner,) = known_tokens(api, NOW)
    assert owner.id == upload.owner
    assert (owner.usages, owner.groups, owner.expires) == ((), (), NOW + timedelta(hours=2))
    (reference,) = made["metadata"]["ownerReferences"]
    assert (reference["name"], reference["uid"]) == (
        f"bootstrap-token-{owner.id}",
        f"uid-of-bootstrap-token-{owner.id}",
    )
    assert reference["controller"] is reference["blockOwnerDeletion"] is True


def test_a_later_upload_replaces_the_earlier_one_whole(api: Api, memory: MemoryApi) -> None:
    first, second = (upload_certificates(api, [lambda: plane("cp1")], now=NOW) for _ in range(2))
    made = memory.live["v1", "Secret", SYSTEM, "kubeadm-certs"]
    assert len(made["metadata"]["ownerReferences"]) == 1
    assert opened(made, second.key)["sa.pub"] == "cp1: sa.pub"
    assert first != second


def test_an_invitation_whose_certificates_have_gone_says_so(api: Api, memory: MemoryApi) -> None:
    """kubeadm's own key and ours: the one that is uploaded later makes the earlier one worthless."""
    first, second = (
        invite(api, now=NOW, lifetime=None, upload=upload_certificates(api, [lambda: plane("cp1")], now=NOW))
        for _ in range(2)
    )
    assert first.certificate_key is not None
    assert first.certificates_expire == NOW + timedelta(hours=2)

    def worthless() -> set[str]:
        return {one.id for one in known_tokens(api, NOW) if "token join-command --control-plane" in one.problem}

    assert worthless() == {first.token.id}
    memory.live.pop(("v1", "Secret", SYSTEM, "kubeadm-certs"))
    assert worthless() == {first.token.id, second.token.id}


def test_external_etcd_needs_its_clients_files(api: Api, memory: MemoryApi) -> None:
    external = {"caFile": "/a/ca.crt", "certFile": "/a/client.crt", "keyFile": "/a/client.key", "endpoints": []}
    memory.replace(config_map("kubeadm-config", SYSTEM, ClusterConfiguration=dump({"etcd": {"external": external}})))
    host = plane("cp1", without="etcd/ca.key")
    for name in ("ca.crt", "client.crt", "client.key"):
        host.write(f"/a/{name}", name.encode())
    key = upload_certificates(api, [lambda: host], now=NOW).key
    names = opened(memory.live["v1", "Secret", SYSTEM, "kubeadm-certs"], key)
    assert names["external-etcd.key"] == "client.key"
    assert set(names) == {
        *(stem for stem in SHARED if "/" not in stem),
        *("external-etcd-ca.crt", "external-etcd.crt", "external-etcd.key"),
    }


def test_every_control_plane_that_lacks_something_is_named(api: Api, memory: MemoryApi) -> None:
    def gone() -> MemoryHost:
        raise ConnectionFailed("no route to host", host="cp3")

    hosts: list[Callable[[], Any]] = [lambda: plane("cp1", without="ca.key"), lambda: plane("cp2", ca=OTHER), gone]
    with pytest.raises(UnfitHost) as caught:
        upload_certificates(api, hosts, now=NOW)
    told = str(caught.value)
    assert "cp1: read /etc/kubernetes/pki/ca.key" in told
    assert "cp2: its /etc/kubernetes/pki/ca.crt is another cluster's" in told
    assert "cp3: no route to host" in told
    assert known_tokens(api, NOW) == ()


def test_a_cluster_without_kubeadm_config(api: Api, memory: MemoryApi) -> None:
    memory.live.clear()
    with pytest.raises(ApiError, match="no ClusterConfiguration"):
        upload_certificates(api, [lambda: plane("cp1")], now=NOW)


def test_the_same_id_twice_is_refused(api: Api) -> None:
    secret = token_secret(parse_token(Secret("abcdef.fedcba9876543210")), now=NOW)
    create(api, secret)
    with pytest.raises(ApiError, match="there is a token abcdef already") as caught:
        create(api, secret)
    assert "fedcba9876543210" not in str(caught.value)


def test_remove_says_what_was_not_there(api: Api) -> None:
    token = new_token()
    create(api, token_secret(token, now=NOW))
    assert remove(api, [token.id, "abcdef"]) == ("abcdef",)
    assert known_tokens(api, NOW) == ()


@pytest.fixture
def motley(api: Api, memory: MemoryApi) -> Api:
    """Tokens of every kind, good and broken."""
    memory.signs = False
    fine, eternal, over = (parse_token(Secret(f"{name}.fedcba9876543210")) for name in ("aaaaaa", "bbbbbb", "cccccc"))
    create(api, token_secret(eternal, now=NOW, lifetime=None, groups=()))
    create(api, token_secret(fine, now=NOW, description="for rack 7"))
    create(api, token_secret(over, now=NOW - timedelta(days=2)))
    head = {"apiVersion": "v1", "kind": "Secret", "type": "bootstrap.kubernetes.io/token"}
    alien = {"token-id": "dddddd", "token-secret": "fedcba9876543210"}
    for name, data in (
        ("x", alien),
        ("eeeeee", {**alien, "token-id": "E"}),
        ("ffffff", {**alien, "expiration": "soon"}),
    ):
        metadata = {"name": f"bootstrap-token-{name}", "namespace": SYSTEM}
        memory.replace({**head, "metadata": metadata, "stringData": data})
    memory.live["v1", "Secret", SYSTEM, "bootstrap-token-ffffff"]["data"]["description"] = "/w=="
    return api


def test_all_tokens_are_listed(motley: Api) -> None:
    told = as_text(known_tokens(motley, NOW), NOW, reveal=False)
    assert "fedcba9876543210" not in told
    group = "system:bootstrappers:kubeadm:default-node-token"
    lines = [line.split("  ") for line in told.splitlines()]
    assert [[cell.strip() for cell in line if cell.strip()] for line in lines] == [
        ["TOKEN", "LEFT", "EXPIRES", "USAGES", "GROUPS", "DESCRIPTION"],
        ["cccccc.••••••", "0.00 s", "2026-11-20T12:00:00Z", "authentication,signing", group, "-", "!! has expired"],
        ["aaaaaa.••••••", "24 h 00 min", "2026-11-22T12:00:00Z", "authentication,signing", group, "for rack 7"],
        ["bbbbbb.••••••", "for ever", "-", "authentication,signing", "-", "-"],
        [
            "eeeeee.••••••",
            "-",
            "-",
            "-",
            "-",
            "-",
            f"!! Secret {SYSTEM}/bootstrap-token-eeeeee: {FORM}",
        ],
        [
            "ffffff.••••••",
            "-",
            "-",
            "-",
            "-",
            "-",
            f"!! Secret {SYSTEM}/bootstrap-token-ffffff: its data cannot be read",
        ],
        [
            "x.••••••",
            "for ever",
            "-",
            "-",
            "-",
            "-",
            "!! its Secret is called bootstrap-token-x, not bootstrap-token-dddddd, so nobody heeds it",
        ],
    ]


def test_a_secret_half_is_in_the_answer_only_when_asked_for(motley: Api) -> None:
    known = known_tokens(motley, NOW)
    plain = [one.as_json(NOW, reveal=False) for one in known]
    assert "fedcba9876543210" not in json.dumps([{**one, "problem": ""} for one in plain])
    assert [one["seconds_left"] for one in plain] == [0, 86400, None, None, None, None]
    assert known[1].as_json(NOW, reveal=True)["token"] == "aaaaaa.fedcba9876543210"
    assert "aaaaaa.fedcba9876543210" in as_text(known, NOW, reveal=True)
