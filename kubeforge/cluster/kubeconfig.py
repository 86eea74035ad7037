"""The administrator's kubeconfig: fetched from a control plane, named after its cluster, merged into other files.

It holds a private key: in memory it is a `Secret`, and files it is written to are 0600.
"""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from kubeforge.documents import dump, load
from kubeforge.errors import ApiUnavailable, ConnectionFailed, InputError, KubeforgeError, Problem
from kubeforge.secret import Secret
from kubeforge.spec.paths import ADMIN_CONF
from kubeforge.transport.base import Remote

__all__ = ["fetch", "merge_into", "merged", "named"]

_NO_INPUT: Final = 66  # EX_NOINPUT
_READ: Final = f'[ -r "$1" ] || exit {_NO_INPUT}; exec cat "$1"'
_LISTS: Final = ("clusters", "contexts", "users")


def fetch(remotes: Iterable[Callable[[], Remote]]) -> tuple[str, Secret]:
    """Return admin.conf of the first control plane that has one, and that host's name.

    Args:
        remotes: one per control plane; called when it is that one's turn.

    Raises:
        ConnectionFailed: the only control plane cannot be asked.
        ApiUnavailable: none of several can be asked, or none has one.
    """
    reasons: list[str] = []
    refused: list[ConnectionFailed] = []
    for remote_of in remotes:
        try:
            remote = remote_of()
            answer = remote.run(["sh", "-c", _READ, "sh", ADMIN_CONF], expect=(0, _NO_INPUT))
        except ConnectionFailed as error:
            refused.append(error)
            reasons.append(str(error))
            continue
        if answer.status == 0 and answer.stdout:
            return remote.host, Secret(answer.stdout)
        reasons.append(f"{remote.host}: has no {ADMIN_CONF}")
    if len(refused) == len(reasons) == 1:
        raise refused[0]  # it says best what is wrong
    raise ApiUnavailable(
        "no control plane has the administrator's kubeconfig",
        evidence=reasons,
        remedy="kubeforge apply founds the cluster; kubeforge status shows what is there",
    )


def named(kubeconfig: Secret, *, name: str, server: str, tls_server_name: str | None = None) -> Secret:
    """Return a kubeconfig under names that fit beside those of other clusters.

    Args:
        kubeconfig: with one cluster, one user and one context.
        name: of the cluster and its context; the user is called `NAME-admin`.
        server: URL of the API.
        tls_server_name: name that the server's certificate must have, where the URL does not say it.

    Raises:
        KubeforgeError: it is no such kubeconfig; the message never quotes it.
    """
    try:
        config = load(kubeconfig.reveal())
        cluster, user = dict(config["clusters"][0]["cluster"]), config["users"][0]["user"]
    except (yaml.YAMLError, KeyError, IndexError, TypeError):
        # `from None`: a YAML error quotes the text, which holds a key
        raise KubeforgeError(
            f"{ADMIN_CONF} is no kubeconfig", remedy="kubeforge apply writes it again once it is removed there"
        ) from None
    cluster["server"] = server
    if tls_server_name is not None:
        cluster["tls-server-name"] = tls_server_name
    admin = f"{name}-admin"
    return Secret(
        dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": name, "cluster": cluster}],
                "users": [{"name": admin, "user": user}],
                "contexts": [{"name": name, "context": {"cluster": name, "user": admin}}],
                "current-context": name,
                "preferences": {},
            }
        )
    )


def merged(existing: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    """Return a kubeconfig with the entries of another in it; entries of the same name are replaced.

    Its current context becomes that of the added one.
    """
    result: dict[str, Any] = {"apiVersion": "v1", "kind": "Config", "preferences": {}, **copy.deepcopy(dict(existing))}
    for kind in _LISTS:
        new = {entry["name"]: entry for entry in added[kind]}
        result[kind] = [entry for entry in result.get(kind) or () if entry["name"] not in new] + list(new.values())
    result["current-context"] = added["current-context"]
    return result


def merge_into(path: Path, kubeconfig: Secret) -> None:
    """Merge a kubeconfig into a file, which may not be there yet; it is replaced at once, and is 0600 afterwards.

    Raises:
        InputError: the file is there and is no kubeconfig, or cannot be written; it stays as it is.
    """
    added = load(kubeconfig.reveal())
    try:
        target = path.resolve()  # a link stays a link
        existing = load(target.read_bytes()) if target.exists() else None
        whole = merged(existing or {}, added)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _replace(target, dump(whole).encode())
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError):
        problem = Problem(message="is not a kubeconfig; it stays as it is", file=str(path))
        raise InputError([problem], remedy="name another file with --output") from None
    except OSError as error:
        raise InputError([Problem(message=f"cannot be written: {error.strerror}", file=str(path))]) from error


def _replace(target: Path, content: bytes) -> None:
    descriptor, scratch = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")  # 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(scratch).replace(target)
    except BaseException:
        Path(scratch).unlink(missing_ok=True)
        raise
