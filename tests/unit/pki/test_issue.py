from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from kubeforge.errors import KubeforgeError, UnfitHost
from kubeforge.pki.certificates import Identity, Request, Usage, request, row
from kubeforge.pki.issue import Authority, authority, key_pair, leaf, leaf_of_csr, new_keys, private_pem
from kubeforge.secret import Secret
from kubeforge.spec.model import KeyAlgorithm

NOW = datetime(2026, 11, 21, 12, 0, 30, 999, tzinfo=UTC)
IDENTITY = Identity(node="cp1", address="192.0.2.11", api_server=("10.96.0.1", "192.0.2.11"))


@pytest.fixture(scope="module")
def ca() -> Authority:
    (key,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    return authority(request(row("ca"), IDENTITY), key, days=3650, now=NOW)


def parsed(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def test_an_authority_as_kubeadm_makes_it(ca: Authority) -> None:
    found = parsed(ca.certificate)
    assert found.subject == found.issuer
    assert found.not_valid_before_utc == datetime(2026, 11, 21, 11, 55, 30, tzinfo=UTC)
    assert found.not_valid_after_utc == datetime(2026, 11, 21, 12, 0, 30, tzinfo=UTC) + timedelta(days=3650)
    assert 0 < found.serial_number < 2**63
    kinds = [type(extension.value) for extension in found.extensions]
    assert kinds == [x509.KeyUsage, x509.BasicConstraints, x509.SubjectKeyIdentifier, x509.SubjectAlternativeName]
    usage = found.extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert (usage.value.digital_signature, usage.value.key_encipherment, usage.value.key_cert_sign) == (True,) * 3
    assert not usage.value.crl_sign


def test_a_leaf_as_kubeadm_makes_it(ca: Authority) -> None:
    (key,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    issued = leaf(request(row("etcd-server"), IDENTITY), key, ca, days=365, now=NOW)
    found = parsed(issued.certificate)
    found.verify_directly_issued_by(parsed(ca.certificate))
    kinds = [type(extension.value) for extension in found.extensions]
    assert kinds == [
        x509.KeyUsage,
        x509.ExtendedKeyUsage,
        x509.BasicConstraints,
        x509.AuthorityKeyIdentifier,
        x509.SubjectAlternativeName,
    ]
    assert [extension.critical for extension in found.extensions] == [True, False, True, False, False]
    signer = parsed(ca.certificate).extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    link = found.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    assert link.key_identifier == signer.digest
    assert not found.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign


def test_a_client_has_no_names(ca: Authority) -> None:
    (key,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    asked = Request(common_name="kubernetes-admin", organizations=("kubeadm:cluster-admins",), usages=(Usage.CLIENT,))
    found = parsed(leaf(asked, key, ca, days=365, now=NOW).certificate)
    assert found.subject.rfc4514_string() == "CN=kubernetes-admin,O=kubeadm:cluster-admins"
    with pytest.raises(x509.ExtensionNotFound):
        found.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_a_leaf_never_outlives_its_signer() -> None:
    (key,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    short = authority(request(row("ca"), IDENTITY), key, days=10, now=NOW)
    found = parsed(leaf(request(row("apiserver"), IDENTITY), key, short, days=365, now=NOW).certificate)
    assert found.not_valid_after_utc == parsed(short.certificate).not_valid_after_utc


@pytest.mark.parametrize(
    ("algorithm", "header", "size", "hashed"),
    [
        (KeyAlgorithm.RSA_2048, b"RSA PRIVATE KEY", 2048, "sha256"),
        (KeyAlgorithm.RSA_3072, b"RSA PRIVATE KEY", 3072, "sha256"),
        (KeyAlgorithm.ECDSA_P256, b"EC PRIVATE KEY", 256, "sha256"),
        (KeyAlgorithm.ECDSA_P384, b"EC PRIVATE KEY", 384, "sha384"),
    ],
)
def test_algorithms(algorithm: KeyAlgorithm, header: bytes, size: int, hashed: str) -> None:
    (key,) = new_keys(1, algorithm)
    assert private_pem(key).reveal().startswith(b"-----BEGIN " + header)
    assert key.key_size == size
    made = parsed(authority(request(row("ca"), IDENTITY), key, days=1, now=NOW).certificate)
    assert made.signature_hash_algorithm is not None
    assert made.signature_hash_algorithm.name == hashed


def test_rsa_4096_is_known() -> None:
    """Its size is checked without the second it takes to find one."""
    from kubeforge.pki import issue

    assert issue._RSA_BITS[KeyAlgorithm.RSA_4096] == 4096
    assert {*issue._RSA_BITS, KeyAlgorithm.ECDSA_P256, KeyAlgorithm.ECDSA_P384} == set(KeyAlgorithm)


def test_keys_differ() -> None:
    keys = new_keys(3, KeyAlgorithm.RSA_2048)
    assert len({private_pem(key) for key in keys}) == 3
    assert all(isinstance(key, rsa.RSAPrivateKey) for key in keys)
    assert isinstance(new_keys(2, KeyAlgorithm.ECDSA_P256)[1], ec.EllipticCurvePrivateKey)


def test_the_service_account_pair() -> None:
    pair = key_pair(new_keys(1, KeyAlgorithm.ECDSA_P256)[0])
    assert pair.public.startswith(b"-----BEGIN PUBLIC KEY-----")
    assert "PRIVATE" not in repr(pair)


def test_a_strange_key_is_refused(ca: Authority) -> None:
    (other,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    with pytest.raises(UnfitHost, match="is not its key"):
        Authority(certificate=ca.certificate, key=private_pem(other)).opened  # noqa: B018 - reading it is what fails
    with pytest.raises(UnfitHost, match="cannot be read"):
        Authority(certificate=b"nonsense", key=private_pem(other)).opened  # noqa: B018 - reading it is what fails


def make_csr(folder: Path, subject: str, *more: str) -> bytes:
    """Make a request as a node does: its key stays there."""
    key = ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", "key"]
    subprocess.run(key, cwd=folder, check=True)
    command = ["openssl", "req", "-new", "-key", "key", "-subj", subject, *more]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True).stdout


def test_a_key_that_stays_on_its_host(ca: Authority, tmp_path: Path) -> None:
    asked = Request(common_name="system:node:w1", organizations=("system:nodes",), usages=(Usage.CLIENT,))
    csr = make_csr(tmp_path, "/O=system:nodes/CN=system:node:w1", "-addext", "subjectAltName=DNS:api.example.net")
    found = parsed(leaf_of_csr(asked, csr, ca, days=365, now=NOW))
    assert found.public_key() == x509.load_pem_x509_csr(csr).public_key()
    with pytest.raises(x509.ExtensionNotFound):
        found.extensions.get_extension_for_class(x509.SubjectAlternativeName)


def test_a_request_for_somebody_else_is_refused(ca: Authority, tmp_path: Path) -> None:
    asked = Request(common_name="system:node:w1", organizations=("system:nodes",), usages=(Usage.CLIENT,))
    with pytest.raises(KubeforgeError, match="is for"):
        leaf_of_csr(asked, make_csr(tmp_path, "/O=system:masters/CN=system:node:w1"), ca, days=1, now=NOW)
    with pytest.raises(KubeforgeError, match="cannot be read"):
        leaf_of_csr(asked, b"nonsense", ca, days=1, now=NOW)


def test_openssl_agrees(ca: Authority, tmp_path: Path) -> None:
    (key,) = new_keys(1, KeyAlgorithm.RSA_2048)
    issued = leaf(request(row("apiserver"), IDENTITY), key, ca, days=365, now=NOW)
    (tmp_path / "ca.crt").write_bytes(ca.certificate)
    (tmp_path / "leaf.crt").write_bytes(issued.certificate)
    moment = str(int(NOW.timestamp()) + 60)
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-attime", moment, "-CAfile", "ca.crt"]
    done = subprocess.run([*command, "leaf.crt"], cwd=tmp_path, capture_output=True, text=True, check=False)
    # An authority with a SubjectKeyIdentifier and no crlSign is kubeadm's; openssl's strict mode takes it.
    assert done.returncode == 0, done.stderr


def test_an_authority_without_an_identifier_signs(tmp_path: Path) -> None:
    """As `openssl x509 -req` made them, and old tools."""
    key, authority_file = tmp_path / "ca.key", tmp_path / "ca.crt"
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=old", "-days", "9"]
    none = ["-addext", "subjectKeyIdentifier=none", "-addext", "authorityKeyIdentifier=none"]
    subprocess.run([*argv, *none, "-keyout", key, "-out", authority_file], check=True, capture_output=True)
    old = Authority(certificate=authority_file.read_bytes(), key=Secret(key.read_bytes()))
    with pytest.raises(x509.ExtensionNotFound):
        old.opened[0].extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    asked = Request(common_name="system:node:w1", organizations=("system:nodes",), usages=(Usage.CLIENT,))
    (own,) = new_keys(1, KeyAlgorithm.ECDSA_P256)
    signed = x509.load_pem_x509_certificate(leaf(asked, own, old, days=1, now=datetime.now(tz=UTC)).certificate)
    signed.verify_directly_issued_by(old.opened[0])
