"""Make keys, authorities and certificates, field by field as kubeadm makes them. In memory only; decides nothing.

Source: kubeadm util/pkiutil/pki_helpers.go (NewSelfSignedCACert, NewSignedCert, GeneratePrivateKey) and Go's
crypto/x509.CreateCertificate, read at v1.36.3: random serials below 2^63, NotBefore five minutes back, an authority
carries a SubjectKeyIdentifier, a leaf the AuthorityKeyIdentifier of its signer.
"""

from __future__ import annotations

import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import sha256
from ipaddress import ip_address
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kubeforge.errors import KubeforgeError, UnfitHost
from kubeforge.pki.certificates import Request, Usage
from kubeforge.secret import Secret
from kubeforge.spec.model import KeyAlgorithm

__all__ = [
    "Authority",
    "Issued",
    "KeyPair",
    "PrivateKey",
    "authority",
    "key_pair",
    "leaf",
    "leaf_of_csr",
    "new_keys",
    "private_pem",
]

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

_BACKDATE: Final = timedelta(minutes=5)  # kubeadm constants.CertificateBackdate
_RSA_BITS: Final = {KeyAlgorithm.RSA_2048: 2048, KeyAlgorithm.RSA_3072: 3072, KeyAlgorithm.RSA_4096: 4096}
_USAGES: Final = {Usage.SERVER: ExtendedKeyUsageOID.SERVER_AUTH, Usage.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH}


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate with its key, both PEM."""

    certificate: bytes
    key: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """A key pair without certificate, PEM: `sa.key` and `sa.pub`."""

    private: Secret
    public: bytes


@dataclass(frozen=True, kw_only=True)  # no slots: `opened` is kept, reading an RSA key costs as much as making one
class Authority:
    """A certificate authority that can sign, both PEM."""

    certificate: bytes
    key: Secret

    @cached_property
    def opened(self) -> tuple[x509.Certificate, PrivateKey]:
        """Certificate and key, parsed.

        Raises:
            UnfitHost: the two do not belong together, or are no certificate or no key.
        """
        try:
            certificate = x509.load_pem_x509_certificate(self.certificate)
            key = load_pem_private_key(self.key.reveal(), password=None)
        except (ValueError, TypeError) as error:
            raise UnfitHost(
                f"the authority's certificate or key cannot be read: {error}",
                step="pki",
                remedy="bring back the pair in PEM, the key without a password, or remove both on a host not in use",
            ) from error
        if not isinstance(key, PrivateKey) or _public_der(key.public_key()) != _public_der(certificate.public_key()):
            name = certificate.subject.rfc4514_string()
            raise UnfitHost(
                f"the key beside the authority {name} is not its key",
                step="pki",
                remedy="bring back the pair that belongs together, or remove both on a host that is not in use",
            )
        return certificate, key


def new_keys(count: int, algorithm: KeyAlgorithm) -> list[PrivateKey]:
    """Return fresh private keys; RSA keys are searched for in parallel (OpenSSL runs without Python's lock)."""
    if algorithm not in _RSA_BITS or count == 1:
        return [_new_key(algorithm) for _ in range(count)]
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        return list(pool.map(_new_key, [algorithm] * count))


def key_pair(key: PrivateKey) -> KeyPair:
    """Return a key pair for signing service account tokens."""
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return KeyPair(private=private_pem(key), public=public)


def authority(request: Request, key: PrivateKey, *, days: int, now: datetime) -> Authority:
    """Return a new self-signed authority."""
    subject = _name(request)
    builder = _builder(request, subject, subject, key.public_key(), now=now, end=now + timedelta(days=days))
    digest = sha256(_key_bits(key.public_key())).digest()[:20]  # RFC 7093 method 1, as Go does since 1.25
    builder = builder.add_extension(x509.SubjectKeyIdentifier(digest), critical=False)
    certificate = _with_sans(builder, request).sign(key, _hash(key))
    return Authority(certificate=certificate.public_bytes(Encoding.PEM), key=private_pem(key))


def leaf(request: Request, key: PrivateKey, signer: Authority, *, days: float, now: datetime) -> Issued:
    """Return a certificate signed by an authority; it never outlives its signer.

    Raises:
        KubeforgeError: the authority cannot be used.
    """
    certificate = _signed(request, key.public_key(), signer, days=days, now=now)
    return Issued(certificate=certificate, key=private_pem(key))


def leaf_of_csr(request: Request, csr: bytes, signer: Authority, *, days: float, now: datetime) -> bytes:
    """Return a certificate (PEM) for the key of a signing request, so that the key stays where it was made.

    Only the public key is taken from the CSR; what the certificate says is said here, and the CSR must ask for it.

    Args:
        request: what the certificate shall say.
        csr: PEM of a PKCS#10 request.
        signer: who signs.
        days: validity; parts of days are taken as well.
        now: with time zone.

    Raises:
        KubeforgeError: it is no request, is not signed by its own key, or asks for another subject.
    """
    try:
        asked = x509.load_pem_x509_csr(csr)
        public = asked.public_key()
        sound = asked.is_signature_valid
    except ValueError as error:
        raise KubeforgeError(f"the signing request cannot be read: {error}", step="pki") from error
    if not sound or not isinstance(public, PublicKey):
        raise KubeforgeError("the signing request is not signed by an RSA or EC key of its own", step="pki")
    if set(asked.subject) != set(_name(request)):
        said, meant = asked.subject.rfc4514_string(), _name(request).rfc4514_string()
        raise KubeforgeError(f"the signing request is for {said}, not {meant}", step="pki")
    return _signed(request, public, signer, days=days, now=now)


def private_pem(key: PrivateKey) -> Secret:
    """Return a private key as kubeadm writes it: PKCS#1 `RSA PRIVATE KEY` or SEC1 `EC PRIVATE KEY`."""
    return Secret(key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()))


def _new_key(algorithm: KeyAlgorithm) -> PrivateKey:
    if algorithm in _RSA_BITS:
        return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS[algorithm])
    curve = ec.SECP256R1() if algorithm is KeyAlgorithm.ECDSA_P256 else ec.SECP384R1()
    return ec.generate_private_key(curve)


def _name(request: Request) -> x509.Name:
    organizations = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, value) for value in request.organizations]
    return x509.Name([*organizations, x509.NameAttribute(NameOID.COMMON_NAME, request.common_name)])


def _signed(request: Request, public: PublicKey, signer: Authority, *, days: float, now: datetime) -> bytes:
    parent, parent_key = signer.opened
    end = min(now + timedelta(days=days), parent.not_valid_after_utc)
    builder = _builder(request, _name(request), parent.subject, public, now=now, end=end)
    builder = builder.add_extension(_identifier(parent), critical=False)
    return _with_sans(builder, request).sign(parent_key, _hash(parent_key)).public_bytes(Encoding.PEM)


def _identifier(parent: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    """Name the authority as it names itself; old tools made some without (RFC 5280 4.2.1.2 wants it)."""
    try:
        own = parent.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = parent.public_key()
        assert isinstance(key, PublicKey)  # `opened` has compared it with the private one
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


def _builder(
    request: Request, subject: x509.Name, issuer: x509.Name, public: PublicKey, *, now: datetime, end: datetime
) -> x509.CertificateBuilder:
    start = now.replace(microsecond=0) - _BACKDATE
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(secrets.randbelow(2**63 - 2) + 1)
        .not_valid_before(start)
        .not_valid_after(end.replace(microsecond=0))
        .add_extension(_key_usage(authority=request.authority), critical=True)
    )
    if request.usages:
        usages = [_USAGES[usage] for usage in request.usages]
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.add_extension(x509.BasicConstraints(ca=request.authority, path_length=None), critical=True)


def _with_sans(builder: x509.CertificateBuilder, request: Request) -> x509.CertificateBuilder:
    names: list[x509.GeneralName] = [x509.DNSName(name) for name in request.names]
    names += [x509.IPAddress(ip_address(address)) for address in request.addresses]
    return builder.add_extension(x509.SubjectAlternativeName(names), critical=False) if names else builder


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_encipherment=True,
        key_cert_sign=authority,
        content_commitment=False,
        data_encipherment=False,
        key_agreement=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384:
    """Return the hash Go signs with: that of the curve's size, SHA-256 for RSA."""
    wide = isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size == 384
    return hashes.SHA384() if wide else hashes.SHA256()


def _public_der(public: object) -> bytes:
    if not isinstance(public, PublicKey):
        return b""
    return public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_bits(public: PublicKey) -> bytes:
    if isinstance(public, rsa.RSAPublicKey):
        return public.public_bytes(Encoding.DER, PublicFormat.PKCS1)
    return public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
