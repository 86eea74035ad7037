from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kubeforge.documents import dump, revealed
from kubeforge.pki.certificates import Identity, request, row
from kubeforge.pki.issue import authority, new_keys
from kubeforge.pki.tokens import (
    BootstrapToken,
    TokenUse,
    ca_hashes,
    is_bootstrap_group,
    new_token,
    parse_token,
    signature,
    token_id,
    token_secret,
)
from kubeforge.secret import Secret
from kubeforge.spec.model import KeyAlgorithm

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def test_a_new_token_has_the_form() -> None:
    tokens = {new_token().text.reveal().decode() for _ in range(20)}
    assert len(tokens) == 20
    assert all(re.fullmatch(r"[a-z0-9]{6}\.[a-z0-9]{16}", token) for token in tokens)


@pytest.mark.parametrize("text", ["", "abcdef", "ABCDEF.0123456789abcdef", "abcdef.0123456789abcdef\n", "a.b"])
def test_what_is_no_token(text: str) -> None:
    with pytest.raises(ValueError, match="looks like") as caught:
        parse_token(Secret(text))
    assert not text or text not in str(caught.value).replace("abcdef.0123456789abcdef", "")


def test_its_object() -> None:
    token = parse_token(Secret("abcdef.0123456789abcdef"))
    made = token_secret(token, now=NOW, description="kubeforge")
    assert made["metadata"] == {"name": "bootstrap-token-abcdef", "namespace": "kube-system"}
    assert made["type"] == "bootstrap.kubernetes.io/token"
    assert "0123456789abcdef" not in repr(made)
    with pytest.raises(Exception, match="represent"):
        dump(made)
    assert revealed(made)["stringData"] == {
        "token-id": "abcdef",
        "token-secret": "0123456789abcdef",
        "usage-bootstrap-authentication": "true",
        "usage-bootstrap-signing": "true",
        "expiration": "2026-11-22T12:00:00Z",
        "auth-extra-groups": "system:bootstrappers:kubeadm:default-node-token",
        "description": "kubeforge",
    }
    assert "expiration" not in token_secret(token, now=NOW, lifetime=None)["stringData"]


def test_the_hash_is_openssls(tmp_path: Path) -> None:
    key = new_keys(1, KeyAlgorithm.RSA_2048)[0]
    made = authority(request(row("ca"), Identity(node="a", address="192.0.2.1")), key, days=1, now=NOW)
    (tmp_path / "ca.crt").write_bytes(made.certificate)
    pipe = "openssl x509 -pubkey -noout -in ca.crt | openssl pkey -pubin -outform der | openssl dgst -sha256 -hex -r"
    done = subprocess.run(["sh", "-c", pipe], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert ca_hashes(made.certificate) == ("sha256:" + done.stdout.split()[0],)
    assert ca_hashes(made.certificate * 2) == ca_hashes(made.certificate) * 2


def test_uses_and_groups_are_said() -> None:
    only = token_secret(
        new_token(), now=NOW, uses=[TokenUse.SIGNING], groups=["system:bootstrappers:a", "system:bootstrappers:b"]
    )
    data = only["stringData"]
    assert data["auth-extra-groups"] == "system:bootstrappers:a,system:bootstrappers:b"
    assert [key for key in data if key.startswith("usage-")] == ["usage-bootstrap-signing"]
    bare = token_secret(new_token(), now=NOW, uses=(), groups=())["stringData"]
    assert set(bare) == {"token-id", "token-secret", "expiration"}


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("system:bootstrappers:x", True),
        ("system:bootstrappers:kubeadm:default-node-token", True),
        ("system:bootstrappers:x-", False),
        ("system:bootstrappers:", False),
        ("system:bootstrappers:X", False),
        ("system:masters", False),
        ("system:bootstrappers:x\n", False),
    ],
)
def test_groups(name: str, good: bool) -> None:
    assert is_bootstrap_group(name) is good


def test_an_id_alone_or_in_a_token() -> None:
    assert token_id("abcdef") == token_id("abcdef.0123456789abcdef") == "abcdef"
    for text in ("uvwxy", "uvwxyza", "uvwxyz.", "uvwxyz\n", "UVWXYZ", "uvwxyz.0123456789abcdeX"):
        with pytest.raises(ValueError, match="six characters") as caught:
            token_id(text)
        assert text not in str(caught.value)


def test_the_signature_is_the_bootstrapsigners() -> None:
    """The pair of k8s.io/cluster-bootstrap/token/jws/jws_test.go."""
    token = BootstrapToken(id="joshua", secret=Secret("my voice is my passcode"))
    content = "Hello from the other side. I must have called a thousand times."
    assert signature(content, token) == (
        "eyJhbGciOiJIUzI1NiIsImtpZCI6Impvc2h1YSJ9..VShe2taLd-YTrmWuRkcL_8QTNDHYxQIEBsAYYiIj1_8"
    )
