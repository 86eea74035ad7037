"""Asks programs whether they take what they are given. They end before they do anything; nothing is changed.

Components of Kubernetes and etcd read all flags, and set feature gates, before they look at `--version`; so an unknown
flag, an unknown gate or a value of the wrong kind ends with the program's own words. What is in files they do not read;
kube-proxy does when it is asked to write its configuration out.
Source: cmd/kube-apiserver/app/server.go (NewAPIServerCommand) and its siblings, cmd/kube-proxy/app/options.go, at
v1.36.3; etcdmain/config.go at v3.6.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Final

from kubeforge.errors import KubeforgeError
from kubeforge.spec.paths import BIN, CONTAINERD_NAMESPACE
from kubeforge.transport.base import Completed, Remote

__all__ = ["lacks_image", "refused_arguments", "refused_proxy_config"]

_PATIENCE: Final = 30.0
_SHOWN: Final = 3
_CTR_PATH: Final = f"{BIN}/ctr"
_CTR: Final = b"ctr: "
_TELLING: Final = ("rror", "unknown", "not defined")
_PROXY: Final = ("kube-proxy", "--config=/config", "--write-config-to=/dev/null")
# $1: ctr; $2: its namespace; $3: image; $4: container; then its command. Not by ctr's own standard input: where that
# ends before the task runs, nobody tells the task, and it waits for ever (seen with containerd 2.2).
_WITH_CONFIG: Final = r"""
file=$(mktemp /run/kubeforge-asks.XXXXXX) || exit
trap 'rm -f -- "$file"' EXIT
cat >"$file"
ctr=$1 namespace=$2 image=$3 container=$4; shift 4
"$ctr" -n "$namespace" run --rm --mount "type=bind,src=$file,dst=/config,options=rbind:ro" "$image" "$container" "$@"
"""


def refused_arguments(remote: Remote, image: str, argv: Sequence[str]) -> tuple[str, ...] | None:
    """Return what a program in an image says against its arguments.

    Args:
        remote: a host whose containerd has the image.
        image: reference.
        argv: the program and all its arguments.

    Returns:
        Its words; empty: it takes them; None: it could not be asked.
    """
    run = (_CTR_PATH, "-n", CONTAINERD_NAMESPACE, "run", "--rm", image, _container(), *argv, "--version")
    answer = _answer(remote, run)
    return None if answer is None else _said(answer)


def lacks_image(remote: Remote, image: str) -> bool:
    """Whether a host's containerd knows no such image; it cannot be asked: False."""
    try:
        listed = remote.run((_CTR_PATH, "-n", CONTAINERD_NAMESPACE, "images", "ls", "-q"), deadline=_PATIENCE)
    except KubeforgeError:
        return False
    return image not in listed.stdout.decode(errors="replace").split()


def refused_proxy_config(remote: Remote, image: str, config: str) -> tuple[str, ...] | None:
    """Return what kube-proxy says against a KubeProxyConfiguration; like `refused_arguments`.

    Fields that it does not know it passes over, with a word; here that is a refusal, too.
    """
    script = ("sh", "-c", _WITH_CONFIG, "sh", _CTR_PATH, CONTAINERD_NAMESPACE, image, _container(), *_PROXY)
    answer = _answer(remote, script, stdin=config.encode())
    if answer is None:
        return None
    lenient = [line for line in _lines(answer) if "strict decoding error" in line]
    return tuple(lenient) or _said(answer)


def _container() -> str:
    return f"kubeforge-asks-{secrets.token_hex(4)}"


def _answer(remote: Remote, argv: Sequence[str], stdin: bytes = b"") -> Completed | None:
    try:
        answer = remote.run(argv, stdin=stdin, deadline=_PATIENCE, expect=range(256))
    except KubeforgeError:
        return None
    own = any(line.startswith(_CTR) for line in answer.stderr.splitlines())  # after warnings, if there are any
    return None if answer.status and own else answer


def _said(answer: Completed) -> tuple[str, ...]:
    if answer.status == 0:
        return ()
    lines = _lines(answer)
    told = [line for line in lines if any(word in line for word in _TELLING)]
    return tuple(dict.fromkeys(told or lines))[:_SHOWN] or (f"it ended with status {answer.status}",)


def _lines(answer: Completed) -> list[str]:
    text = (answer.stderr + b"\n" + answer.stdout).decode(errors="replace")
    return [line.strip() for line in text.splitlines() if line.strip()]
