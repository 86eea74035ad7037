"""Files as text: UTF-8, opened where ansible-vault has encrypted them as a whole."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from kubeforge.errors import Problem
from kubeforge.inventory.vault import Refused, Vault, is_sealed

__all__ = ["Text", "read_text"]


@dataclass(frozen=True, slots=True)
class Text:
    """A file's text.

    Args:
        name: its path, as the user gave it.
        content: in the clear.
        secret: the file was encrypted; no message may quote a value of it.
    """

    name: str
    content: str
    secret: bool = False


def read_text(path: Path, vault: Vault, problems: list[Problem]) -> Text | None:
    """Return a file's text; None where it cannot be had, which is then among `problems` or the vault's.

    Args:
        path: an existing file.
        vault: opens it where it is encrypted.
        problems: what is wrong is added here.
    """
    try:
        content = path.read_bytes().decode().removeprefix("\ufeff")
        if not is_sealed(content):
            return Text(str(path), content)
        return Text(str(path), vault.open(content).reveal().decode(), secret=True)
    except OSError as error:
        problems.append(Problem(message=f"cannot be read: {error.strerror}", file=str(path)))
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        problems.append(Problem(message="it is not UTF-8 text", file=str(path), line=line))
    except Refused as error:
        vault.refuse(error, str(path), None)
    return None
