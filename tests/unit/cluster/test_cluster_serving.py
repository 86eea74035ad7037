"""Requests for serving certificates: the honest one, and those a compromised node would send."""

from __future__ import annotations

import base64
from ipaddress import ip_address
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from kubeforge.cluster.serving import SIGNER, asker, faults, is_pending

NODE: dict[str, Any] = {"node": "w1", "names": {"w1"}, "addresses": {"192.0.2.21", "fd00::21"}}


def request(
    *,
    common_name: str = "system:node:w1",
    organizations: tuple[str, ...] = ("system:nodes",),
    names: tuple[str, ...] = ("w1",),
    addresses: tuple[str, ...] = ("192.0.2.21",),
    others: tuple[x509.GeneralName, ...] = (),
    **spec: Any,
) -> dict[str, Any]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, one) for one in organizations]
    subject.append(x509.NameAttribute(NameOID.COMMON_NAME, common_name))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(subject))
    sans: list[x509.GeneralName] = [x509.DNSName(one) for one in names]
    sans += [x509.IPAddress(ip_address(one)) for one in addresses]
    sans += others
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=False)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    return {
        "metadata": {"name": "csr-1"},
        "spec": {
            "signerName": SIGNER,
            "username": "system:node:w1",
            "groups": ["system:nodes", "system:authenticated"],
            "usages": ["digital signature", "server auth"],
            "request": base64.b64encode(pem).decode(),
            **spec,
        },
    }


def test_an_honest_request() -> None:
    assert faults(request(), **NODE) == ()
    assert faults(request(addresses=("192.0.2.21", "fd00::21"), names=()), **NODE) == ()
    assert faults(request(usages=["digital signature", "key encipherment", "server auth"]), **NODE) == ()


@pytest.mark.parametrize(
    ("forged", "said"),
    [
        (request(names=("w1", "kubernetes.default")), "it names kubernetes.default"),
        (request(addresses=("192.0.2.11",)), "it names 192.0.2.11"),
        (request(others=(x509.UniformResourceIdentifier("spiffe://x"),)), "spiffe"),
        (request(others=(x509.RFC822Name("a@b"),)), "a@b"),
        (request(names=(), addresses=()), "it names no host"),
        (request(common_name="system:node:cp1"), "its subject is"),
        (request(organizations=("system:masters",)), "its subject is"),
        (request(organizations=("system:nodes", "system:masters")), "its subject is"),
        (request(username="system:node:w2"), "was sent by system:node:w2"),
        (request(username="system:serviceaccount:x:y"), "was sent by"),
        (request(groups=["system:authenticated"]), "was sent by"),
        (request(usages=["client auth", "digital signature"]), "client auth"),
        (request(signerName="kubernetes.io/kube-apiserver-client"), "its signer"),
        (request(request=base64.b64encode(b"nonsense").decode()), "no certificate request"),
        (request(request="%%%"), "no certificate request"),
    ],
)
def test_a_request_that_asks_for_more(forged: dict[str, Any], said: str) -> None:
    assert said in " ".join(faults(forged, **NODE))


def test_a_request_with_a_wrong_signature() -> None:
    honest = request()
    der = bytearray(base64.b64decode(honest["spec"]["request"]))
    pem = x509.load_pem_x509_csr(bytes(der))
    raw = bytearray(pem.public_bytes(Encoding.DER))
    raw[-1] ^= 1
    body = base64.encodebytes(bytes(raw)).decode()
    text = f"-----BEGIN CERTIFICATE REQUEST-----\n{body}-----END CERTIFICATE REQUEST-----\n"
    honest["spec"]["request"] = base64.b64encode(text.encode()).decode()
    assert faults(honest, **NODE) != ()


def test_who_asks_and_whether_it_waits() -> None:
    assert asker(request()) == "w1"
    assert asker(request(username="admin")) == ""
    assert is_pending(request())
    assert not is_pending({**request(), "status": {"conditions": [{"type": "Denied"}]}})
    assert not is_pending({**request(), "status": {"certificate": "x"}})
