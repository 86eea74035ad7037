"""`kubeforge token …`: what it asks of the cluster and what it prints; the cluster itself has its own tests."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kubeforge.cli import root
from kubeforge.cli import token as verbs
from kubeforge.cli.boundary import guarded
from kubeforge.cluster import joining, tokens
from kubeforge.cluster.joining import Invitation, Upload
from kubeforge.cluster.tokens import KnownToken
from kubeforge.documents import revealed
from kubeforge.pki.tokens import parse_token
from kubeforge.secret import Secret

WHOLE = "abcdef.fedcba9876543210"
TOKEN = parse_token(Secret(WHOLE))
KEY = Secret("0f" * 32)


class Cluster:
    """Keeps what it is asked."""

    def __init__(self) -> None:
        self.made: list[dict[str, Any]] = []
        self.invited: list[dict[str, Any]] = []
        self.uploads = 0

    def create(self, _api: object, secret: dict[str, Any]) -> None:
        self.made.append(revealed(secret)["stringData"])

    def known(self, _api: object, now: datetime) -> tuple[KnownToken, ...]:
        return (KnownToken(id="abcdef", token=TOKEN, expires=now + timedelta(hours=1), usages=("signing",)),)

    def remove(self, _api: object, ids: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(one for one in ids if one != "abcdef")

    def upload(self, _api: object, _planes: object, *, now: datetime) -> Upload:
        self.uploads += 1
        return Upload(key=KEY, owner="bcdefg")

    def invite(self, _api: object, **given: Any) -> Invitation:
        self.invited.append(given)
        ends = given["lifetime"] and datetime(2026, 11, 21, tzinfo=UTC) + given["lifetime"]
        return Invitation(
            endpoint="192.0.2.11:6443",
            token=TOKEN,
            hashes=("sha256:aa",),
            expires=ends,
            certificate_key=given["upload"].key if given["upload"] else None,
        )


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    made = Cluster()

    @contextmanager
    def opened(*_: object) -> Iterator[tuple[object, list[Callable[[], object]]]]:
        yield SimpleNamespace(), []

    monkeypatch.setattr(verbs, "_api", opened)
    monkeypatch.setattr(tokens, "create", made.create)
    monkeypatch.setattr(tokens, "known_tokens", made.known)
    monkeypatch.setattr(tokens, "remove", made.remove)
    monkeypatch.setattr(joining, "upload_certificates", made.upload)
    monkeypatch.setattr(joining, "invite", made.invite)
    return made


def forge(*words: str) -> int:
    return guarded(root, ["token", *words], "kubeforge")


def test_create_prints_the_token_alone(cluster: Cluster, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{WHOLE}\n")
    words = ["--ttl", "90m", "--usages", "signing", "--description", "rack 7", "--from-file", str(file)]
    assert forge("create", *words) == 0
    assert capsys.readouterr().out == f"{WHOLE}\n"
    (made,) = cluster.made
    assert "expiration" in made
    assert {key for key in made if key.startswith(("usage", "auth"))} == {"usage-bootstrap-signing"}
    assert made["description"] == "rack 7"


def test_create_for_ever_at_random(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert forge("create", "--ttl", "0") == 0
    (made,) = cluster.made
    assert "expiration" not in made
    assert capsys.readouterr().out.strip() == f"{made['token-id']}.{made['token-secret']}"


@pytest.mark.parametrize(
    ("words", "groups"),
    [
        ((), "system:bootstrappers:kubeadm:default-node-token"),
        (
            ("--groups", "system:bootstrappers:a,system:bootstrappers:b"),
            "system:bootstrappers:a,system:bootstrappers:b",
        ),
        (("--groups", ""), None),
        (("--usages", "signing"), None),
    ],
)
def test_groups_of_a_new_token(cluster: Cluster, words: tuple[str, ...], groups: str | None) -> None:
    assert forge("create", *words) == 0
    assert cluster.made[0].get("auth-extra-groups") == groups


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create", "--ttl", "1d"), "`1d` is no duration"),
        (("create", "--usages", "signing,encrypting"), "not for `encrypting`"),
        (("create", "--usages", ""), "a token is good for"),
        (("create", "--groups", "system:masters"), "not `system:masters`"),
        (("create", "--groups", "system:bootstrappers:x", "--usages", "signing"), "need the usage authentication"),
        (("delete", "abcdef", "fedcba9876543210"), "word 2: a token's id"),
        (("delete",), "Missing argument"),
        (("create", "--from-file", "/dev/null"), "looks like"),
    ],
)
def test_wrong_words_reach_no_cluster(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert forge(*words) == 64
    told = capsys.readouterr().err
    assert said in told
    assert "fedcba9876543210" not in told
    assert cluster.made == []


@pytest.mark.parametrize("form", ["table", "json", "yaml"])
def test_list_masks_unless_asked(cluster: Cluster, capsys: pytest.CaptureFixture[str], form: str) -> None:
    assert forge("list", "-o", form) == 0
    told = capsys.readouterr().out
    assert "abcdef" in told
    assert "fedcba9876543210" not in told
    assert forge("list", "-o", form, "--reveal") == 0
    assert WHOLE in capsys.readouterr().out


def test_delete_says_what_was_not_there(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert forge("delete", WHOLE, "abcdef") == 0
    assert capsys.readouterr().err == "token abcdef deleted\n"
    assert forge("delete", "abcdef", "zzzzzz") == 16
    told = capsys.readouterr().err
    assert "token abcdef deleted" in told
    assert "there is no token zzzzzz" in told


@pytest.mark.parametrize(
    ("words", "hours", "uploads"),
    [
        ((), 24, 0),
        (("--ttl", "1h"), 1, 0),
        (("--ttl", "0"), None, 0),
        (("--control-plane",), 2, 1),
        (("--control-plane", "--ttl", "1h"), 1, 1),
    ],
)
def test_join_command(
    cluster: Cluster, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], hours: int | None, uploads: int
) -> None:
    assert forge("join-command", *words) == 0
    command = f"kubeadm join 192.0.2.11:6443 --token {WHOLE} --discovery-token-ca-cert-hash sha256:aa"
    if uploads:
        command += f" --control-plane --certificate-key {KEY.reveal().decode()}"
    assert capsys.readouterr().out == f"{command}\n"
    (given,) = cluster.invited
    assert given["lifetime"] == (None if hours is None else timedelta(hours=hours))
    assert cluster.uploads == uploads


def test_join_command_as_data(cluster: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert forge("join-command", "--control-plane", "-o", "json") == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["token"], told["control_plane"], told["certificate_key"]) == (WHOLE, True, "0f" * 32)
    assert told["expires"] == "2026-11-21T02:00:00Z"
