"""Texts that ansible-vault has encrypted: what they look like, and opening them with the passwords there are. No I/O.

The format (Ansible's guide, "Format of files encrypted with Ansible Vault"): a header `$ANSIBLE_VAULT;1.1;AES256`, or
`$ANSIBLE_VAULT;1.2;AES256;LABEL`, then hexadecimal lines. They hold, in hexadecimal once more, salt, HMAC and
ciphertext, a line each. PBKDF2 (SHA-256, 10000 rounds, 80 bytes) makes of password and salt the key of the cipher
(32), the key of the HMAC (32) and the counter (16); HMAC-SHA-256 is over the ciphertext; AES-256 in counter mode,
padded as in PKCS #7.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from binascii import Error as NotHexadecimal
from binascii import unhexlify
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from kubeforge.errors import Problem
from kubeforge.secret import Secret

__all__ = ["DEFAULT_LABEL", "Refused", "Sealed", "Vault", "VaultPassword", "is_sealed"]

DEFAULT_LABEL: Final = "default"
_HEADER: Final = re.compile(r"\$ANSIBLE_VAULT;(1\.[12]);(\w+)(?:;([^\s;]+))?\s*$")
_MARK: Final = "$ANSIBLE_VAULT;"
_ROUNDS: Final = 10_000
_REMEDY: Final = "give it with --vault-password-file FILE, --vault-id LABEL@FILE or --ask-vault-pass"


class Refused(ValueError):
    """A text cannot be opened; the message says why, and nothing of what is inside."""


def is_sealed(text: str) -> bool:
    """Return whether a file's text is one that ansible-vault has encrypted as a whole."""
    return text.startswith(_MARK)


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultPassword:
    """A password, and the label (Ansible's vault id) of the texts it is meant for; it is tried on others too."""

    label: str = DEFAULT_LABEL
    password: Secret


@dataclass(slots=True)
class Vault:
    """The passwords of one run, what they have opened, and what they could not open.

    Args:
        passwords: in the order in which they are tried; those whose label a text names come first.
    """

    passwords: Sequence[VaultPassword] = ()
    _opened: dict[str, Secret] = field(default_factory=dict, repr=False)
    _refusals: list[tuple[str, str, int | None]] = field(default_factory=list)
    _tried: set[str] = field(default_factory=set)

    def open(self, text: str) -> Secret:
        """Return what is inside of an encrypted text.

        Args:
            text: header and lines.

        Raises:
            Refused: no password is there, none fits, or the text is damaged.
        """
        if text not in self._opened:
            label, salt, digest, sealed = _parts(text)
            if not self.passwords:
                raise Refused(f"it is encrypted by ansible-vault, and there is no password: {_REMEDY}")
            for each in sorted(self.passwords, key=lambda each: each.label != label):
                found = _decrypted(each.password, salt, digest, sealed)
                if found is not None:
                    self._opened[text] = Secret(found)
                    break
            else:
                named = f" with the label {label}" if label else ""
                raise Refused(f"the vault password does not open it{named}")
        return self._opened[text]

    def probe(self, text: str, file: str, line: int | None) -> None:
        """Open the first value of each label now, so that a wrong password is told before anything else happens.

        The others are opened when they are asked for: each takes some milliseconds, by design of the format.
        """
        header = text.partition("\n")[0]
        if self.passwords and header not in self._tried:
            self._tried.add(header)
            try:
                self.open(text)
            except Refused as error:
                self.refuse(error, file, line)

    def refuse(self, error: Refused, file: str, line: int | None) -> None:
        """Note that a text could not be opened."""
        self._refusals.append((str(error), file, line))

    def problems(self) -> list[Problem]:
        """Return what could not be opened: one problem for each reason, at the first place, naming the number."""
        found = []
        for reason in dict.fromkeys(reason for reason, _, _ in self._refusals):
            places = [(file, line) for why, file, line in self._refusals if why == reason]
            more = f" (and {len(places) - 1} more)" if len(places) > 1 else ""
            found.append(Problem(message=f"{reason}{more}", file=places[0][0], line=places[0][1]))
        return found


@dataclass(frozen=True, slots=True)
class Sealed:
    """An encrypted value inside of a file (`!vault`); opened when it is asked for.

    Args:
        text: header and lines.
        vault: opens it.
    """

    text: str
    vault: Vault = field(repr=False, compare=False)

    def open(self) -> Secret:
        """Return the value.

        Raises:
            Refused: see Vault.open.
        """
        return self.vault.open(self.text)


def _parts(text: str) -> tuple[str | None, bytes, bytes, bytes]:
    """Return label, salt, HMAC and ciphertext.

    Raises:
        Refused: it is not such a text, or damaged.
    """
    lines = text.strip().split("\n")
    header = _HEADER.match(lines[0].strip())
    if header is None:
        raise Refused(f"it does not begin with a line like {_MARK}1.1;AES256")
    if header[2] != "AES256":
        raise Refused(f"its cipher {header[2]} is not served, only AES256 is")
    try:
        salt, digest, sealed = (
            unhexlify(part) for part in unhexlify("".join(line.strip() for line in lines[1:])).split(b"\n", 2)
        )
    except (NotHexadecimal, ValueError) as error:
        raise Refused("it is damaged: a line is missing or was changed") from error
    return header[3], salt, digest, sealed


def _decrypted(password: Secret, salt: bytes, digest: bytes, sealed: bytes) -> bytes | None:
    """Return what is inside; None where the password is not the right one."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes  # noqa: PLC0415 - few inventories need it
    from cryptography.hazmat.primitives.padding import PKCS7  # noqa: PLC0415 - as above

    keys = hashlib.pbkdf2_hmac("sha256", password.reveal(), salt, _ROUNDS, 80)
    if not hmac.compare_digest(hmac.new(keys[32:64], sealed, hashlib.sha256).digest(), digest):
        return None
    cipher = Cipher(algorithms.AES(keys[:32]), modes.CTR(keys[64:])).decryptor()
    padding = PKCS7(128).unpadder()
    return padding.update(cipher.update(sealed) + cipher.finalize()) + padding.finalize()
