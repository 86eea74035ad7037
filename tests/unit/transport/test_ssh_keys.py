"""Key files behind a passphrase: who is asked, how often, and what is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from kubeforge.errors import AuthenticationFailed
from kubeforge.secret import Secret
from kubeforge.transport.ssh_keys import KeyRing


@pytest.fixture
def locked(tmp_path: Path) -> Path:
    """A key file that `open sesame` opens; PEM, because OpenSSH's own format takes its time on purpose."""
    path = tmp_path / "locked"
    lock = BestAvailableEncryption(b"open sesame")
    path.write_bytes(
        generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, lock)
    )
    return path


def saying(*words: str | None) -> tuple[Callable[[Path], Secret | None], list[Path]]:
    """Return somebody who says these words in turn, and what he was asked about."""
    left, asked = list(words), []

    def ask(path: Path) -> Secret | None:
        asked.append(path)
        said = left.pop(0)
        return None if said is None else Secret(said)

    return ask, asked


def test_a_wrong_passphrase_may_be_mended(locked: Path) -> None:
    ask, asked = saying("wrong", "wronger", "open sesame")
    ring = KeyRing(ask)
    assert ring.load(locked, host="a") is ring.load(locked, host="b")
    assert asked == [locked] * 3


def test_three_times_and_for_all_hosts(locked: Path) -> None:
    ask, asked = saying("wrong", "wrong", "wrong")
    ring = KeyRing(ask)
    for host in ("a", "b"):
        with pytest.raises(AuthenticationFailed, match="the passphrase does not open") as caught:
            ring.load(locked, host=host)
        assert caught.value.host == host
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        (None, "is encrypted and no passphrase was given"),
        (saying(None)[0], "is encrypted and no passphrase was given"),
        (saying("wrong", None)[0], "the passphrase does not open"),
    ],
)
def test_nobody_to_ask_or_given_up(locked: Path, ask: Callable[[Path], Secret | None] | None, words: str) -> None:
    with pytest.raises(AuthenticationFailed, match=words) as caught:
        KeyRing(ask).load(locked, host="a")
    assert caught.value.remedy == f"give it to the agent: ssh-add {locked}"
