"""Makes texts as ansible-vault does, for tests of opening them; that the real one's are opened: tests/integration."""

from __future__ import annotations

import hashlib
import hmac
from binascii import hexlify

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

__all__ = ["seal"]


def seal(plain: str, password: str, label: str | None = None) -> str:
    """Return `plain` encrypted; the salt is always the same."""
    salt = b"salt of the tests, 32 bytes long"
    keys = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, 10_000, 80)
    padder = PKCS7(128).padder()
    padded = padder.update(plain.encode()) + padder.finalize()
    cipher = Cipher(algorithms.AES(keys[:32]), modes.CTR(keys[64:])).encryptor()
    sealed = cipher.update(padded) + cipher.finalize()
    digest = hmac.new(keys[32:64], sealed, hashlib.sha256).digest()
    body = hexlify(b"\n".join(map(hexlify, (salt, digest, sealed)))).decode()
    header = "$ANSIBLE_VAULT;1.1;AES256" if label is None else f"$ANSIBLE_VAULT;1.2;AES256;{label}"
    return "\n".join([header, *(body[start : start + 80] for start in range(0, len(body), 80))]) + "\n"
